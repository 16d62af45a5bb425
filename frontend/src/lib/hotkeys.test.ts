import { expect, test } from "vitest";
import { isTyping, nameOf } from "@/lib/hotkeys";

const key = (code: string, text: string, change: KeyboardEventInit = {}) => nameOf(new KeyboardEvent("keydown", { code, key: text, ...change }));

test.each([
  ["KeyA", "a", {}, "a"],
  ["KeyA", "ф", {}, "a"], // A Russian layout: the place counts.
  ["KeyA", "Process", {}, "a"], // An input method that has taken the letter.
  ["Digit5", "5", {}, "5"],
  ["Numpad5", "5", {}, "5"],
  ["Digit7", "è", {}, "7"], // A French layout types a letter there.
  ["Equal", "=", {}, "="],
  ["Digit0", "=", { shiftKey: true }, "="], // German.
  ["Slash", "?", { shiftKey: true }, "?"],
  ["Equal", "≠", { altKey: true }, "Alt+="], // A Mac.
  ["Minus", "–", { altKey: true }, "Alt+-"],
  ["ArrowUp", "ArrowUp", { altKey: true }, "Alt+ArrowUp"],
  ["KeyZ", "Z", { ctrlKey: true, shiftKey: true }, "Ctrl+Shift+z"],
  ["KeyZ", "z", { metaKey: true }, "Ctrl+z"],
  ["Enter", "Enter", { ctrlKey: true }, "Ctrl+Enter"],
])("%s typing %s with %j is named %s", (code, text, change, wanted) => {
  expect(key(code, text, change)).toBe(wanted);
});

test("text fields take keys, buttons and check boxes do not", () => {
  const make = (tag: string, type = "") => Object.assign(document.createElement(tag), type ? { type } : {});
  expect([make("textarea"), make("input"), make("select")].map(isTyping)).toEqual([true, true, true]);
  expect([make("button"), make("input", "checkbox"), make("div"), null].map(isTyping)).toEqual([false, false, false, false]);
});
