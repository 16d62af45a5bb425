/** Texts that a Markdown parser cannot take in reasonable time or depth are shown as they are. */

const LONGEST = 200_000;
const DEEPEST = 20;
const WIDEST_INDENT = 120;
const MOST_MARKS = 3000; // Of one paragraph: unmatched brackets and stars cost the square of their number.

export function isTooHard(source: string): boolean {
  if (source.length > LONGEST) return true;
  const lines = source.split(/\r\n?|\n/);
  if (lines.some((line) => depthOf(line) > DEEPEST || indentOf(line) > WIDEST_INDENT)) return true;
  return source.split(/\n\s*\n/).some((paragraph) => countOf(paragraph, /[[\]*_`<~!\\&]/g) > MOST_MARKS);
}

const countOf = (text: string, marks: RegExp) => text.match(marks)?.length ?? 0;
const indentOf = (line: string) => line.length - line.trimStart().length;

/** Quotes and list items that this line opens or goes on with. */
function depthOf(line: string): number {
  const [lead = ""] = /^[\s>*+\-\d.)]*/.exec(line) ?? [];
  return countOf(lead, />|[*+-](?=\s|$)|\d[.)]/g);
}
