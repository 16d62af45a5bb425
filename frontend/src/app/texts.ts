import en from "@/app/locales/en.json";
import zh from "@/app/locales/zh-Hans.json";
import { texts } from "@/lib/i18n";

export const useTexts = texts({ en, "zh-Hans": zh });
