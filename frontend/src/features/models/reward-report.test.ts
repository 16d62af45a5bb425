import { expect, test } from "vitest";
import { reportOf } from "./reward-report";

const result = {
  report: {
    accuracy: 0.71,
    labeler_agreement: null,
    pairs: 120,
    by_rank_distance: [{ distance: 1, accuracy: 0.6, pairs: 80 }],
    by_labeler: [],
    reliability: [{ low: 0.5, high: 0.6, stated: 0.55, right: 0.5, count: 20 }],
  },
};

test("what is undefined is left out", () => {
  const report = reportOf(result);
  expect(report?.facts).toEqual([{ name: "accuracy", value: 0.71 }, { name: "pairs", value: 120 }]);
  expect(report?.groups).toEqual([{ by: "rank_distance", rows: [{ name: "1", accuracy: 0.6, pairs: 80 }] }]);
  expect([report?.stated, report?.right]).toEqual([[0.55], [0.5]]);
});

test("a run without a report has none", () => {
  expect(reportOf({})).toBeNull();
  expect(reportOf({ report: null })).toBeNull();
});
