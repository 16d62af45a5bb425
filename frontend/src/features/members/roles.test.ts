import { expect, test } from "vitest";
import { weightOf } from "./roles";

test("a weight is above 0 and at most 10", () => {
  expect(["0.05", " 1 ", "10"].map(weightOf)).toEqual([0.05, 1, 10]);
  expect(["-1", "0", "11", "abc", "", "1,5"].map(weightOf)).toEqual(Array(6).fill(null));
});
