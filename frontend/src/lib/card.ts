/** A model card as people read it: the YAML at its head is for programs. Pure. */
export function withoutFrontMatter(card: string): string {
  return card.replace(/^---\r?\n[\s\S]*?\r?\n---[ \t]*(\r?\n|$)/, "");
}
