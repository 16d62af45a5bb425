/**
 * The one Trusted Types policy. Mantine writes its style sheets through innerHTML of <style>; such text has no "<".
 * Everything that could become an element or a script is refused, so a text of a labeler or a model never can.
 */

interface PolicyFactory {
  createPolicy(name: string, rules: { createHTML: (text: string) => string }): unknown;
}

export function onlyStyleSheets(text: string): string {
  if (text.includes("<")) throw new TypeError("Refused: markup must not reach the page as a string.");
  return text;
}

export function installTrustedTypes(): void {
  const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes;
  factory?.createPolicy("default", { createHTML: onlyStyleSheets });
}

/** The nonce for style elements that this response's content security policy names. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
}
