import { act, renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { setLanguage, texts } from "@/lib/i18n";

const useTexts = texts({
  en: { rows_one: "{{count}} row", rows_other: "{{count}} rows", hello: "Hello {{ name }}, {{name}}" },
  "zh-Hans": { rows_other: "{{count}} 条", hello: "{{name}}，你好" },
});

test("plurals and holes are filled, and what is filled in is text and no pattern", () => {
  const { t } = renderHook(useTexts).result.current;
  expect([t("rows", { count: 1 }), t("rows", { count: 2 }), t("rows", { count: "1,000" })]).toEqual(["1 row", "2 rows", "1,000 rows"]);
  expect(t("hello", { name: "$& {{count}}" })).toBe("Hello $& {{count}}, $& {{count}}");
});

test("another language is shown at once where texts are shown, and kept", () => {
  const { result } = renderHook(useTexts);
  act(() => setLanguage("zh-Hans"));
  expect(result.current.t("rows", { count: 1 })).toBe("1 条");
  expect([document.documentElement.lang, localStorage.getItem("preceptor.language")]).toEqual(["zh-Hans", "zh-Hans"]);
  act(() => setLanguage("en"));
  expect(result.current.t("hello", { name: "Ana" })).toBe("Hello Ana, Ana");
});

test("sentences stand apart in English and close in Chinese", () => {
  const { result } = renderHook(useTexts);
  expect(result.current.sentences("One.", null, "Two.")).toBe("One. Two.");
  act(() => setLanguage("zh-Hans"));
  expect(result.current.sentences("一。", null, "二。")).toBe("一。二。");
  act(() => setLanguage("en"));
});
