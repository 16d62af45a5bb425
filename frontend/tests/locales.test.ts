import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const SOURCE = join(import.meta.dirname, "../src");
const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" });
const folders = files.filter((file) => file.endsWith("locales/en.json")).map((file) => dirname(dirname(file)));

const read = (path: string) => JSON.parse(readFileSync(join(SOURCE, path), "utf8")) as Record<string, string>;
const base = (key: string) => key.replace(/_(zero|one|two|few|many|other)$/, "");
const keys = (texts: Record<string, string>) => new Set(Object.keys(texts).map(base));
const holes = (text: string) => [...text.matchAll(/\{\{\s*(\w+)/g)].map((match) => match[1]).sort();

function sourceOf(folder: string): string {
  const mine = files.filter((file) => file.startsWith(`${folder}/`) && /\.tsx?$/.test(file));
  return mine.map((file) => readFileSync(join(SOURCE, file), "utf8")).join("\n");
}

describe.each(folders)("texts of %s", (folder) => {
  const en = read(`${folder}/locales/en.json`);
  const zh = read(`${folder}/locales/zh-Hans.json`);

  test("both languages have the same keys", () => {
    expect([...keys(zh)].sort()).toEqual([...keys(en)].sort());
  });

  test("both languages fill the same holes", () => {
    for (const [key, text] of Object.entries(zh)) {
      const other = en[key] ?? en[`${base(key)}_other`] ?? "";
      expect([key, holes(text)]).toEqual([key, holes(other)]);
    }
  });

  test("Chinese is set with Chinese marks, and without spaces after them", () => {
    for (const text of Object.values(zh)) expect(text).not.toMatch(/[\u4e00-\u9fff}][;,:?!]|[。；，：] /);
  });

  test("every plural has the forms its language needs", () => {
    const plural = Object.keys(en).filter((key) => /_(one|other)$/.test(key)).map(base);
    for (const key of plural) {
      expect(en).toHaveProperty([`${key}_one`]);
      expect(en).toHaveProperty([`${key}_other`]);
      expect(zh).toHaveProperty([`${key}_other`]);
    }
  });

  test("no text is left over", () => {
    const source = sourceOf(folder);
    // A key stands in quotes, or its beginning stands before `${`.
    const stems = [...source.matchAll(/`([\w.-]+)\$\{/g)].map((match) => match[1] ?? "");
    const unused = [...keys(en)].filter(
      (key) => !source.includes(`"${key}"`) && !stems.some((stem) => stem.includes(".") && key.startsWith(stem)),
    );
    expect(unused).toEqual([]);
  });
});
