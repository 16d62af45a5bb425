/** Word-level difference of two texts (Myers, "An O(ND) Difference Algorithm", 1986). */

export type Change = "same" | "removed" | "added";
export interface Span {
  change: Change;
  text: string;
}

// Past this many edits two texts have so little in common that a word diff tells nothing.
const MOST_EDITS = 3000;

/** Chinese has no spaces: the segmenter knows its words. */
export function wordsOf(text: string): string[] {
  if (typeof Intl.Segmenter !== "function") return text.match(/\s+|[^\s]+/g) ?? [];
  return Array.from(new Intl.Segmenter(undefined, { granularity: "word" }).segment(text), ({ segment }) => segment);
}

/** The spans from `a` to `b` in reading order, or null when they differ too much. */
export function diffWords(a: string, b: string): Span[] | null {
  const [from, to] = [wordsOf(a), wordsOf(b)];
  const trace = edits(from, to);
  return trace && spans(from, to, trace);
}

/** The furthest-reaching ends of every edit count, for walking back. */
function edits(a: string[], b: string[]): Int32Array[] | null {
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const middle = most + 1;
  const ends = new Int32Array(2 * middle + 1);
  const trace: Int32Array[] = [];
  for (let d = 0; d <= most; d++) {
    // Only the part that this many edits can reach is kept.
    trace.push(ends.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(ends, middle + k - 1) < at(ends, middle + k + 1));
      let x = down ? at(ends, middle + k + 1) : at(ends, middle + k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      ends[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

const at = (array: Int32Array, index: number) => array[index] ?? 0;

function spans(a: string[], b: string[], trace: Int32Array[]): Span[] {
  const out: Span[] = [];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d--) {
    const step = stepBack(trace[d] ?? new Int32Array(0), d, x - y);
    for (; x > step.x && y > step.y; x--, y--) out.push({ change: "same", text: a[x - 1] ?? "" });
    if (d === 0) break;
    if (step.isAdded) out.push({ change: "added", text: b[--y] ?? "" });
    else out.push({ change: "removed", text: a[--x] ?? "" });
  }
  return withBridges(merged(out.reverse()));
}

/** Where the run of equal words on diagonal k began, and which edit led there. */
function stepBack(ends: Int32Array, d: number, k: number): { x: number; y: number; isAdded: boolean } {
  const middle = d + 1;
  const isAdded = k === -d || (k !== d && at(ends, middle + k - 1) < at(ends, middle + k + 1));
  if (d === 0) return { x: 0, y: 0, isAdded };
  const x = isAdded ? at(ends, middle + k + 1) : at(ends, middle + k - 1) + 1;
  return { x, y: x - k, isAdded };
}

/** A space between two replaced words is replaced with them: phrases are read more easily than words by turns. */
function withBridges(spans: Span[]): Span[] {
  const out: Span[] = [];
  let [removed, added] = ["", ""];
  const flush = () => {
    if (removed) out.push({ change: "removed", text: removed });
    if (added) out.push({ change: "added", text: added });
    [removed, added] = ["", ""];
  };
  spans.forEach((span, index) => {
    const isBridge = span.change === "same" && span.text.trim() === "" && removed !== "" && added !== "" && index + 1 < spans.length;
    if (span.change === "same" && !isBridge) {
      flush();
      out.push(span);
      return;
    }
    if (span.change !== "added") removed += span.text;
    if (span.change !== "removed") added += span.text;
  });
  flush();
  return out;
}

function merged(words: Span[]): Span[] {
  const out: Span[] = [];
  for (const word of words) {
    const last = out.at(-1);
    if (last?.change === word.change) last.text += word.text;
    else out.push({ ...word });
  }
  return out;
}
