import { expect, test } from "vitest";
import { withoutFrontMatter } from "@/lib/card";

test("what is for programs is left out, and only at the head", () => {
  expect(withoutFrontMatter("---\ntags: [sft]\n---\n# A model\n\n---\n\nend")).toBe("# A model\n\n---\n\nend");
  expect(withoutFrontMatter("# A model\n\n---\nno yaml\n---\n")).toBe("# A model\n\n---\nno yaml\n---\n");
  expect(withoutFrontMatter("")).toBe("");
});
