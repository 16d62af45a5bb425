/** Words as people count them; Chinese has no spaces, so the segmenter does it. */
export function countWords(text: string): number {
  if (typeof Intl.Segmenter !== "function") return text.split(/\s+/).filter(Boolean).length;
  let words = 0;
  for (const { isWordLike } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) if (isWordLike) words++;
  return words;
}

/** Characters as people count them (code points). */
export function countCharacters(text: string): number {
  return Array.from(text).length;
}
