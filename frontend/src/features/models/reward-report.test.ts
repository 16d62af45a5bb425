import { expect, test } from "vitest";
import { ignoresPrompts, reportOf } from "./reward-report";

const result = {
  report: {
    accuracy: 0.71,
    labeler_agreement: null,
    pairs: 120,
    prompt_blind_pairs: 90,
    by_rank_distance: [{ distance: 1, accuracy: 0.6, pairs: 80 }],
    by_labeler: [],
    reliability: [{ low: 0.5, high: 0.6, stated: 0.55, right: 0.5, count: 20 }],
  },
};

test("what is undefined is left out", () => {
  const report = reportOf(result);
  expect(report?.facts).toEqual([{ name: "accuracy", value: 0.71 }, { name: "prompt_blind_pairs", value: 90 }, { name: "pairs", value: 120 }]);
  expect(report?.groups).toEqual([{ by: "rank_distance", rows: [{ name: "1", accuracy: 0.6, pairs: 80, agreement: null }] }]);
  expect([report?.stated, report?.right]).toEqual([[0.55], [0.5]]);
});

test("a report made before sources and held-out labelers were measured has none", () => {
  const report = reportOf(result);
  expect([report?.sources, report?.others]).toEqual([[], null]);
  expect(report?.own).toEqual({ accuracy: 0.71, error: null, pairs: 120 });
});

test("groups stand beside how far labelers agree on such pairs", () => {
  const by_labeler = [{ labeler: "ann", accuracy: 0.7, pairs: 9, agreement: 0.75, agreement_pairs: 4 }, { labeler: "bob", accuracy: 0.5, pairs: 2, agreement: null, agreement_pairs: 0 }];
  expect(reportOf({ report: { by_labeler } })?.groups[0]?.rows.map(({ name, agreement }) => [name, agreement])).toEqual([["ann", 0.75], ["bob", null]]);
});

test("sources and held-out labelers come with their errors", () => {
  const report = reportOf({
    report: {
      ...result.report,
      accuracy_se: 0.02,
      by_source: [{ version: "a1", accuracy: 0.6, accuracy_se: null, pairs: 3 }, { version: null, accuracy: 0.8, accuracy_se: 0.1, pairs: 9 }],
      heldout_labelers: { accuracy: 0.69, accuracy_se: 0.03, pairs: 40, labelers: 2 },
    },
  });
  expect(report?.sources).toEqual([{ version: "a1", accuracy: 0.6, error: null, pairs: 3 }, { version: null, accuracy: 0.8, error: 0.1, pairs: 9 }]);
  expect(report?.own?.error).toBe(0.02);
  expect(report?.others).toEqual({ accuracy: 0.69, error: 0.03, pairs: 40, labelers: 2 });
});

test("held-out labelers may be all that was measured on", () => {
  const report = reportOf({ report: { accuracy: null, pairs: 0, heldout_labelers: { accuracy: 0.5, accuracy_se: null, pairs: 2, labelers: 1 } } });
  expect([report?.own, report?.others?.labelers]).toEqual([null, 1]);
});

test("a model that is right without the prompt is told from one that reads it", () => {
  const blind = (right: number, without: number | null) => {
    const report = reportOf({ report: { accuracy: right, prompt_blind_accuracy: without, pairs: 100 } });
    return report && ignoresPrompts(report);
  };
  expect([blind(0.71, 0.7), blind(0.8, 0.65), blind(0.8, 0.6), blind(0.8, 0.4), blind(0.5, 0.5), blind(0.7, null)]).toEqual([true, true, false, false, false, false]);
});

test("a run without a report has none", () => {
  expect(reportOf({})).toBeNull();
  expect(reportOf({ report: null })).toBeNull();
});
