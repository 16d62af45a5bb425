import type { ReactNode } from "react";
import { currentLanguage } from "./i18n";

/** What the server says in English, or in the reader's language where a table has a sentence for its code. */
export function ServerText({ code, children, table }: { code: string; children: ReactNode; table: Record<string, string> }) {
  const translated = currentLanguage() === "en" ? undefined : table[code];
  return translated === undefined ? <span lang="en">{children}</span> : <span>{translated}</span>;
}
