import type { RankingEvent } from "./ranking";

/** Keys of the ranking board itself, by name. Letters a to i are cards and digits are scores, and never anything else. */
const KEYS: Record<string, RankingEvent> = {
  Enter: { type: "place" },
  "=": { type: "tie" },
  "Alt+ArrowUp": { type: "up" },
  "Alt+ArrowDown": { type: "down" },
  "Alt+=": { type: "merge" },
  "Alt+-": { type: "split" },
  Backspace: { type: "take-back" },
  Delete: { type: "take-back" },
  "Ctrl+z": { type: "undo" },
  "Ctrl+Shift+z": { type: "redo" },
  "Ctrl+y": { type: "redo" },
  Escape: { type: "focus", card: null },
};

export function rankingEvent(key: string, size: number): RankingEvent | null {
  if (/^[a-i]$/.test(key)) {
    const card = key.charCodeAt(0) - 97;
    return card < size ? { type: "focus", card } : null;
  }
  if (/^[1-7]$/.test(key)) return { type: "rate", value: Number(key) };
  return KEYS[key] ?? null;
}
