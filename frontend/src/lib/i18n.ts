/** Two languages, one JSON a feature and language, keys checked by the compiler. */

import i18next from "i18next";
import { initReactI18next, useTranslation } from "react-i18next";

export const LANGUAGES = { en: "English", "zh-Hans": "简体中文" } as const;
export type LanguageCode = keyof typeof LANGUAGES;

const STORED = "preceptor.language";

void i18next.use(initReactI18next).init({
  lng: firstLanguage(),
  fallbackLng: "en",
  resources: {},
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false }, // React escapes.
});
document.documentElement.lang = i18next.language;

type Plural = "zero" | "one" | "two" | "few" | "many" | "other";
type Key<K> = K extends `${infer Base}_${Plural}` ? Base : K;
type Values = Record<string, string | number>;

export interface Texts<K extends string> {
  t: (key: K, values?: Values) => string;
  language: LanguageCode;
}

/**
 * Register the texts of a feature and return the hook that reads them. The English file decides which keys exist;
 * a test holds both files to the same keys.
 */
export function texts<T extends Record<string, string>>(
  namespace: string,
  both: { en: T; "zh-Hans": Record<string, string> },
): () => Texts<Key<keyof T & string>> {
  for (const [language, resource] of Object.entries(both)) i18next.addResourceBundle(language, namespace, resource);
  return function useTexts() {
    const { t, i18n } = useTranslation(namespace);
    return { t: t as unknown as Texts<Key<keyof T & string>>["t"], language: i18n.language as LanguageCode };
  };
}

export async function setLanguage(language: LanguageCode): Promise<void> {
  localStorage.setItem(STORED, language);
  document.documentElement.lang = language;
  await i18next.changeLanguage(language);
}

export function currentLanguage(): LanguageCode {
  return i18next.language as LanguageCode;
}

function firstLanguage(): LanguageCode {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "zh-Hans") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh-Hans" : "en";
}
