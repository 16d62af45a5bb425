import { expect, test } from "vitest";
import { importUrl } from "./use-import";

test("what is to be left out stands in the address, and so does a trial", () => {
  const base = "/api/v1/projects/p1/prompts/import/";
  expect(importUrl("p1", { keepsNearDuplicates: false, maxPerOwner: 200 }, true)).toBe(`${base}?max_per_owner=200&dry_run=1`);
  expect(importUrl("p1", { keepsNearDuplicates: true, maxPerOwner: null }, false)).toBe(`${base}?max_per_owner=none&keep_near_duplicates=1`);
});
