/** Two languages, one JSON a feature and language, keys checked by the compiler. */

import { useSyncExternalStore } from "react";

export const LANGUAGES = { en: "English", "zh-Hans": "简体中文" } as const;
export type LanguageCode = keyof typeof LANGUAGES;

const STORED = "preceptor.language";
const PLURALS: Record<LanguageCode, Intl.PluralRules> = { en: new Intl.PluralRules("en"), "zh-Hans": new Intl.PluralRules("zh") };

let current = firstLanguage();
document.documentElement.lang = current;
const listeners = new Set<() => void>();

type Plural = "zero" | "one" | "two" | "few" | "many" | "other";
type Key<K> = K extends `${infer Base}_${Plural}` ? Base : K;
type Values = Record<string, string | number>;

export interface Texts<K extends string> {
  t: (key: K, values?: Values) => string;
  /** Sentences one after the other, as the language sets them: Chinese has no space between. */
  sentences: (...all: (string | null)[]) => string;
  language: LanguageCode;
}

/** "{{count}} words" by key; with a number `count` the form that the language has for it. */
function translator(language: LanguageCode, table: Record<string, string>) {
  return (key: string, values: Values = {}): string => {
    const { count } = values;
    const form = typeof count === "number" ? table[`${key}_${PLURALS[language].select(count)}`] : undefined;
    const text = form ?? table[key] ?? table[`${key}_other`] ?? key;
    return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => String(values[name] ?? ""));
  };
}

const sentencesIn = (language: LanguageCode) => (...all: (string | null)[]) => all.filter(Boolean).join(language === "en" ? " " : "");

/** The hook that reads the texts of a feature. The English file decides which keys exist; a test holds both to the same. */
export function texts<T extends Record<string, string>>(both: { en: T; "zh-Hans": Record<string, string> }): () => Texts<Key<keyof T & string>> {
  const made: Record<LanguageCode, Texts<string>> = {
    en: { t: translator("en", both.en), sentences: sentencesIn("en"), language: "en" },
    "zh-Hans": { t: translator("zh-Hans", both["zh-Hans"]), sentences: sentencesIn("zh-Hans"), language: "zh-Hans" },
  };
  return function useTexts() {
    return made[useSyncExternalStore(subscribe, currentLanguage)];
  };
}

export function setLanguage(language: LanguageCode): void {
  localStorage.setItem(STORED, language);
  document.documentElement.lang = language;
  current = language;
  for (const listener of listeners) listener();
}

export function currentLanguage(): LanguageCode {
  return current;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function firstLanguage(): LanguageCode {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "zh-Hans") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh-Hans" : "en";
}
