import { expect, test } from "vitest";
import { diffWords, type Span } from "@/lib/diff";

const side = (spans: Span[] | null, without: string) =>
  (spans ?? []).filter(({ change }) => change !== without).map(({ text }) => text).join("");

test("a changed word is one removal and one addition", () => {
  expect(diffWords("the cat sat", "the dog sat")).toEqual([
    { change: "same", text: "the " },
    { change: "removed", text: "cat" },
    { change: "added", text: "dog" },
    { change: "same", text: " sat" },
  ]);
});

test("words replaced one after the other are one phrase", () => {
  expect(diffWords("we saw a cat here", "we met my dog here")).toEqual([
    { change: "same", text: "we " },
    { change: "removed", text: "saw a cat" },
    { change: "added", text: "met my dog" },
    { change: "same", text: " here" },
  ]);
});

test("without the additions it is the first text, without the removals the second", () => {
  const words = ["a", "b", "c", " ", "水", "。", "\n"];
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  const text = () => Array.from({ length: Math.floor(random() * 30) }, () => words[Math.floor(random() * words.length)]).join(" ");
  for (let round = 0; round < 300; round++) {
    const [a, b] = [text(), text()];
    const spans = diffWords(a, b);
    expect([side(spans, "added"), side(spans, "removed")]).toEqual([a, b]);
  }
});

test("texts without anything in common are not compared word by word", () => {
  const far = (word: string) => Array.from({ length: 4000 }, (_, index) => `${word}${index}`).join(" ");
  expect(diffWords(far("x"), far("y"))).toBeNull();
});
