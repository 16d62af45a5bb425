import en from "@/components/locales/en.json";
import zh from "@/components/locales/zh-Hans.json";
import { texts } from "@/lib/i18n";

export const useTexts = texts({ en, "zh-Hans": zh });
