import { expect, test } from "vitest";
import { splitHidden } from "@/lib/invisible";

const shown = (text: string) => splitHidden(text).map((piece) => ("text" in piece ? piece.text : `<${piece.hidden}>`)).join("");

test.each([
  ["plain\ttext\nwith 中文 and é", "plain\ttext\nwith 中文 and é"],
  ["a\u202Eb", "a<U+202E>b"],
  ["pass\u200Bword", "pass<U+200B>word"],
  ["x\u{E0041}y", "x<U+E0041>y"],
  ["\uFEFFstart", "<U+FEFF>start"],
  ["bell\u0007", "bell<U+0007>"],
  ["a\u200Db", "a<U+200D>b"],
  ["👩\u200D👧 and می\u200Cخواهم", "👩\u200D👧 and می\u200Cخواهم"],
])("%j is shown as %j", (text, wanted) => {
  expect(shown(text)).toBe(wanted);
});
