import { expect, test } from "vitest";
import { byDistance, groupsOf, mergeRows, seriesOf, smooth, toCsv, type Row } from "@/lib/series";

const rows: Row[] = [
  { step: 1, values: { "ppo/kl": 0, "ppo/score": null } },
  { step: 2, values: { "ppo/kl": 1, "perf/seconds": 2, progress: 0.5 } },
];

test("new rows follow the old ones, and a repeated step replaces its row", () => {
  expect(mergeRows(rows, [{ step: 3, values: { "ppo/kl": 2 } }]).map(({ step }) => step)).toEqual([1, 2, 3]);
  expect(mergeRows(rows, [{ step: 1, values: {} }])).toEqual([{ step: 1, values: {} }]);
  const again = mergeRows(rows, [{ step: 2, values: { "ppo/kl": 9 } }, { step: 3, values: {} }]);
  expect(again.map(({ step, values }) => [step, values["ppo/kl"]])).toEqual([[1, 0], [2, 9], [3, undefined]]);
});

test("steps that lack a number are no points", () => {
  expect(seriesOf(rows, "ppo/score")).toEqual({ x: [], y: [] });
  expect(seriesOf(rows, "ppo/kl")).toEqual({ x: [1, 2], y: [0, 1] });
});

test("smoothing starts at the first value and keeps a constant", () => {
  expect(smooth([3, 3, 3], 0.9).map((value) => value.toFixed(6))).toEqual(["3.000000", "3.000000", "3.000000"]);
  expect(smooth([1, 5], 0)).toEqual([1, 5]);
  expect(smooth([0, 10], 0.5)[1]).toBeCloseTo(6.667, 3);
});

test("scores by distance are ordered by it, and a judge's line is there where there was a judge", () => {
  const walk = [[4, 2, null], [1, 1, 0.5], [-0.01, 0, 0.25]].map(([kl, score, judge_score], step) => ({
    step,
    values: { "ppo/kl": kl ?? null, "ppo/score": score ?? null, "ppo/judge_score": judge_score ?? null },
  }));
  const judged = [{ name: "score", values: [0, 1, 2] }, { name: "judge_score", values: [0.25, 0.5, null] }];
  expect(byDistance(walk, "ppo")).toEqual({ x: [0, 1, 2], lines: judged });
  expect(byDistance(rows, "ppo")).toEqual({ x: [0, 1], lines: [] });
  expect(byDistance(walk, "rloo")).toEqual({ x: [], lines: [] });
});

test("numbers are grouped by what stands before the slash", () => {
  expect([...groupsOf(rows)]).toEqual([["perf", ["perf/seconds"]], ["ppo", ["ppo/kl", "ppo/score"]]]);
});

test("the table has a column for every number and an empty cell where there is none", () => {
  expect(toCsv(rows)).toBe("step,perf/seconds,ppo/kl,ppo/score,progress\n1,,0,,\n2,2,1,,0.5\n");
});
