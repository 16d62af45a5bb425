import { expect, test } from "vitest";
import { countsOf, exportUrl, snippets } from "./exports";

test("an export without a split is all rows", () => {
  expect(exportUrl("s1", "sft")).toBe("/api/v1/snapshots/s1/export/?format=sft");
  expect(exportUrl("s1", "sft", "valid")).toBe("/api/v1/snapshots/s1/export/?format=sft&split=valid");
});

test("counts that are not there are zero, labelers unknown", () => {
  expect(countsOf({ rows: { train: 3 }, total: 4 })).toEqual({ train: 3, valid: 0, heldout: 0, total: 4, labelers: null });
  expect(countsOf({})).toEqual({ train: 0, valid: 0, heldout: 0, total: 0, labelers: null });
});

test("the lines name the whole address and never a token", () => {
  const { curl, python } = snippets("https://x.org", "s1", "preference");
  expect(curl).toContain('"https://x.org/api/v1/snapshots/s1/export/?format=preference&split=train"');
  expect(python).toContain('data_files="preference-train.jsonl"');
  expect(curl + python).not.toContain("pct_");
});
