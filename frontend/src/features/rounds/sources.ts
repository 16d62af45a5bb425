/** Where a setting's value comes from, as the server says it: "IG C.1: 16; ours: 3". */

import { useCatalogue } from "@/lib/catalogue";

const loadChinese = (): Promise<{ default: Record<string, string> }> => import("./locales/sources.zh-Hans.json");

/** Places in papers stay as they are; the words after them, and `ours`, are translated. */
export function translatedSource(source: string, told: Record<string, string>): string {
  const part = (one: string) => {
    const [place = "", ...rest] = one.split(": ");
    const words = rest.join(": ");
    return [place === "ours" ? "自定" : place, ...(words ? [told[words] ?? words] : [])].join("：");
  };
  return source.split("; ").map(part).join("；");
}

/** A source in the language of the page. */
export function useSource(): (source: string) => string {
  const told = useCatalogue(loadChinese);
  return (source) => (told ? translatedSource(source, told) : source);
}
