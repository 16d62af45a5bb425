import { expect, test } from "vitest";
import { nextStep, pathOf } from "./next-step";

const current_policy = { id: "v", name: "starter", kind: "policy" } as never;
const counts = { prompts: 10, open_tasks: 0, rankings: 0, demonstrations: 0, versions: 1 };
const round = (state: string) => ({ id: "r", number: 1, state });

test("an admin of an empty project imports prompts, then launches a round", () => {
  expect(nextStep("admin", { counts: { ...counts, prompts: 0 }, round: null, current_policy })).toBe("import");
  expect(nextStep("admin", { counts, round: null, current_policy })).toBe("launch");
});

test("without a model there is no round to launch, only data to look at", () => {
  expect(nextStep("admin", { counts, round: null, current_policy: null })).toBe("data");
  expect(pathOf("data", "p1", undefined)).toBe("/p/p1/data");
});

test("an admin decides when the round waits for a decision, and else follows it", () => {
  expect(nextStep("admin", { counts: { ...counts, open_tasks: 4 }, round: round("review"), current_policy })).toBe("review");
  expect(nextStep("admin", { counts, round: round("training_policy"), current_policy })).toBe("follow");
  expect(nextStep("admin", { counts: { ...counts, open_tasks: 4 }, round: round("ranking"), current_policy })).toBe("label");
});

test("labelers label where there is something to label", () => {
  expect(nextStep("labeler", { counts: { ...counts, open_tasks: 4 }, round: round("ranking"), current_policy })).toBe("label");
  expect(nextStep("labeler", { counts, round: round("sampling"), current_policy })).toBe("none");
  expect(nextStep("reviewer", { counts, round: round("sampling"), current_policy })).toBe("follow");
});

test("every step leads to a page of the project", () => {
  expect(pathOf("review", "p1", "r1")).toBe("/p/p1/rounds/r1");
  expect(pathOf("import", "p1", undefined)).toBe("/p/p1/prompts?import=1");
});
