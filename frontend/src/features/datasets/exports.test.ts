import { expect, test } from "vitest";
import { countsOf, exportUrl, snippets } from "./exports";

test("an export without a split is all rows", () => {
  expect(exportUrl("s1", "sft")).toBe("/api/v1/snapshots/s1/export/?format=sft");
  expect(exportUrl("s1", "sft", "valid")).toBe("/api/v1/snapshots/s1/export/?format=sft&split=valid");
});

const NOTHING = { train: 0, valid: 0, heldout: 0, total: 0, labelers: null, leftOut: 0, promptsOut: { near: 0, cap: 0, pii: 0 } };

test("counts that are not there are zero, labelers unknown", () => {
  expect(countsOf({ rows: { train: 3 }, total: 4 })).toEqual({ ...NOTHING, train: 3, total: 4 });
  expect(countsOf({})).toEqual(NOTHING);
});

test("what was left out is counted over all reasons", () => {
  const counts = countsOf({ left_out: { late: 1, pii: 2 }, prompts_left_out: { near_duplicate: 3, owner_cap: 4, pii: 5 } });
  expect(counts).toEqual({ ...NOTHING, leftOut: 3, promptsOut: { near: 3, cap: 4, pii: 5 } });
});

test("the lines name the whole address and never a token", () => {
  const { curl, python } = snippets("https://x.org", "s1", "preference");
  expect(curl).toContain('"https://x.org/api/v1/snapshots/s1/export/?format=preference&split=train"');
  expect(python).toContain('data_files="preference-train.jsonl"');
  expect(curl + python).not.toContain("pct_");
});
