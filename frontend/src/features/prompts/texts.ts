import { texts } from "@/lib/i18n";
import en from "./locales/en.json";
import zh from "./locales/zh-Hans.json";

export const useTexts = texts({ en, "zh-Hans": zh });
