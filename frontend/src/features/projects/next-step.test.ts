import { expect, test } from "vitest";
import { nextStep, pathOf } from "./next-step";

const counts = { prompts: 10, open_tasks: 0, rankings: 0, demonstrations: 0, versions: 1 };
const round = (state: string) => ({ id: "r", number: 1, state });

test("an admin of an empty project imports prompts, then launches a round", () => {
  expect(nextStep("admin", { counts: { ...counts, prompts: 0 }, round: null })).toBe("import");
  expect(nextStep("admin", { counts, round: null })).toBe("launch");
});

test("an admin decides when the round waits for a decision, and else follows it", () => {
  expect(nextStep("admin", { counts: { ...counts, open_tasks: 4 }, round: round("review") })).toBe("review");
  expect(nextStep("admin", { counts, round: round("training_policy") })).toBe("follow");
  expect(nextStep("admin", { counts: { ...counts, open_tasks: 4 }, round: round("ranking") })).toBe("label");
});

test("labelers label where there is something to label", () => {
  expect(nextStep("labeler", { counts: { ...counts, open_tasks: 4 }, round: round("ranking") })).toBe("label");
  expect(nextStep("labeler", { counts, round: round("sampling") })).toBe("none");
  expect(nextStep("reviewer", { counts, round: round("sampling") })).toBe("follow");
});

test("every step leads to a page of the project", () => {
  expect(pathOf("review", "p1", "r1")).toBe("/p/p1/rounds/r1");
  expect(pathOf("import", "p1", undefined)).toBe("/p/p1/prompts?import=1");
});
