import { expect, test } from "vitest";
import type { Pair } from "@/api/training-types";
import { sortPairs } from "./pair-order";

const pair = (ours: number | null, theirs: number, kl: number | null): Pair => ({
  prompt: { messages: [] }, candidate: { text: "", reward: ours }, current: { text: "", reward: theirs }, kl,
});
const pairs = [pair(1, 2, 5), pair(null, 0, null), pair(3, 0, 1)];

test("pairs are ordered by what the candidate gained or lost, those without a number last", () => {
  expect(sortPairs(pairs, "asked")).toEqual(pairs);
  expect(sortPairs(pairs, "better").map(({ candidate }) => candidate.reward)).toEqual([3, 1, null]);
  expect(sortPairs(pairs, "worse").map(({ candidate }) => candidate.reward)).toEqual([1, 3, null]);
  expect(sortPairs(pairs, "kl").map(({ kl }) => kl)).toEqual([5, 1, null]);
});
