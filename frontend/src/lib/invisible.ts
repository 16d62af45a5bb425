/** Characters that hide or reorder text (Trojan Source, tag characters): found, so that they can be shown. */

// Control characters, soft hyphen, fillers, zero-width and bidirectional marks, tag characters.
const RANGES = [
  [0x00, 0x08], [0x0b, 0x0c], [0x0e, 0x1f], [0x7f, 0x9f], [0xad, 0xad], [0x034f, 0x034f], [0x061c, 0x061c],
  [0x115f, 0x1160], [0x17b4, 0x17b5], [0x180b, 0x180f], [0x200b, 0x200f], [0x2028, 0x202e], [0x2060, 0x206f],
  [0x3164, 0x3164], [0xfeff, 0xfeff], [0xffa0, 0xffa0], [0xfff9, 0xfffb], [0xe0000, 0xe0fff],
];
const inClass = (range: number[]) => range.map((code) => `\\u{${code.toString(16)}}`).join("-");
const HIDDEN = new RegExp(`[${RANGES.map(inClass).join("")}]`, "gu");
const JOINERS = "\u200c\u200d";
const JOINING = ["Arabic", "Bengali", "Devanagari", "Gujarati", "Gurmukhi", "Kannada", "Malayalam", "Oriya", "Sinhala", "Tamil", "Telugu"];
const SCRIPTS = JOINING.map((script) => `\\p{Script=${script}}`).join("");
const BEFORE_JOINER = new RegExp(`[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\uFE0F${SCRIPTS}]$`, "u");
const AFTER_JOINER = /^[\p{Extended_Pictographic}\p{L}\p{M}]/u;

export type Piece = { text: string } | { hidden: string };

/** "a<U+202E>b" -> [{text: "a"}, {hidden: "U+202E"}, {text: "b"}]. Joiners inside emoji and scripts that need them stay. */
export function splitHidden(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    const at = match.index;
    if (isOrdinaryJoiner(text, at)) continue;
    if (at > from) pieces.push({ text: text.slice(from, at) });
    const code = match[0].codePointAt(0) ?? 0;
    pieces.push({ hidden: `U+${code.toString(16).toUpperCase().padStart(4, "0")}` });
    from = at + match[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

function isOrdinaryJoiner(text: string, at: number): boolean {
  if (!JOINERS.includes(text.charAt(at))) return false;
  return BEFORE_JOINER.test(text.slice(Math.max(0, at - 2), at)) && AFTER_JOINER.test(text.slice(at + 1, at + 3));
}
