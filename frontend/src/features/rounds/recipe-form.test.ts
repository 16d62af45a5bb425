import { expect, test } from "vitest";
import { ApiError } from "@/api/errors";
import told from "./locales/sources.zh-Hans.json";
import { algorithmOf, differences, inForce, rangeProblem, refusedFields, stagesOf, stepsOf, valueOf, withPreset, withSetting, withStep, written } from "./recipe-form";
import { translatedSource } from "./sources";

const recipe = { steps: ["sampling", "ranking"], k: 4, ppo: { preset: "cpu-starter", clip: 0.1 } };
const field = { name: "k", type: "int", nullable: false, default: 4, min: 2, max: 9, choices: null, unit: "completions", help: "", source: "IG 3.5: 4 to 9" };

test("steps keep their order whatever the order of the clicks", () => {
  expect(stepsOf(withStep(withStep(recipe, "demonstrating", true), "ranking", false))).toEqual(["demonstrating", "sampling"]);
  expect(stepsOf(recipe)).toEqual(["sampling", "ranking"]);
});

test("of the policy's algorithms only the chosen one is set up", () => {
  const whole = { ...recipe, steps: ["training_reward", "training_policy"] };
  expect([algorithmOf(whole), stagesOf(whole)]).toEqual(["ppo", ["reward", "ppo"]]);
  expect(stagesOf({ ...whole, policy_algorithm: "rloo" })).toEqual(["reward", "rloo"]);
  expect(stagesOf(recipe)).toEqual([]);
});

test("a setting can be made and taken back, and a preset forgets what differed", () => {
  const changed = withSetting(recipe, "ppo", "lr", 0.001);
  expect(differences(changed, "ppo")).toBe(2);
  expect(withSetting(changed, "ppo", "lr", undefined)).toEqual(recipe);
  expect(withPreset(changed, "ppo", "instructgpt")["ppo"]).toEqual({ preset: "instructgpt" });
  expect(recipe.ppo).toEqual({ preset: "cpu-starter", clip: 0.1 });
});

test("typed text becomes a value of the field's type", () => {
  const typed = (type: string, text: string, nullable = false) => valueOf({ type, nullable }, text);
  expect(typed("float", " 1e-4 ")).toBe(0.0001);
  expect(typed("bool", "false")).toBe(false);
  expect(typed("str", "cosine")).toBe("cosine");
  expect(typed("int", " ")).toBeUndefined();
  expect([typed("float", "null", true), typed("float", "null")]).toEqual([null, "null"]);
});

test("what is no number reaches the server as it was typed, so that it is not taken for no limit", () => {
  const sent = (text: string) => JSON.parse(JSON.stringify({ kl_budget: valueOf({ type: "float", nullable: true }, text) })) as unknown;
  expect(["2O", "1e999", "-"].map(sent)).toEqual([{ kl_budget: "2O" }, { kl_budget: "1e999" }, { kl_budget: "-" }]);
});

test("a value outside of its range is told before it is sent", () => {
  expect(rangeProblem(field, 4)).toBeNull();
  expect(rangeProblem(field, 10)).toBe("range");
  expect(rangeProblem(field, 2.5)).toBe("whole");
  expect(rangeProblem(field, "2O")).toBe("number");
  expect(rangeProblem(field, undefined)).toBeNull();
  expect(rangeProblem({ ...field, max: 2 ** 62 }, 2 ** 53)).toBe("range");
});

test("small numbers are written with their exponent, whole ones whole", () => {
  expect([9.65e-6, 0.0002, 0.02, 0, 10_000_000, true].map(written)).toEqual(["9.65e-6", "2e-4", "0.02", "0", "10000000", "true"]);
});

test("an empty field shows the preset's value and source, then the default's, or what the round sets for it", () => {
  const lr = { ...field, name: "lr", type: "float", default: 0.001, source: "IG C" };
  const preset = [{ name: "lr", value: 9.65e-6, source: "IG C.1" }, { name: "kl_budget", value: 10, source: "ours: measured" }];
  expect(inForce(recipe, "sft", lr, preset)).toEqual({ value: 9.65e-6, source: "IG C.1", isRounds: false });
  expect(inForce(recipe, "sft", lr, [])).toEqual({ value: 0.001, source: "IG C", isRounds: false });
  const budget = { ...lr, name: "kl_budget", nullable: true, default: null };
  const within = (kl_budget: number | null, set = preset) => inForce({ ...recipe, kl_budget }, "ppo", budget, set);
  expect([within(20), within(5), within(null), within(20, [])].map(({ value, isRounds }) => [value, isRounds])).toEqual([[10, false], [5, true], [10, false], [20, true]]);
  const longest = { ...field, name: "max_new_tokens", default: 64 };
  expect(inForce({ ...recipe, sampling: { max_tokens: 33 } }, "dpo", longest, [])).toEqual({ value: 33, source: "", isRounds: true });
});

test("what the server refuses is found by the field's name", () => {
  const error = new ApiError({ status: 400, code: "bad_recipe", detail: "", errors: [{ field: "recipe.k", code: "out_of_range", message: "recipe.k: 1 is not allowed." }, { field: "recipe.ppo.lr", code: "invalid", message: "recipe.ppo: lr is 9." }] });
  expect(refusedFields(error)).toEqual({ k: "1 is not allowed.", "ppo.lr": "lr is 9." });
  expect(refusedFields(error, ({ code }) => code)).toEqual({ k: "out_of_range", "ppo.lr": "invalid" });
});

test("a source keeps its places and translates its words", () => {
  expect(translatedSource("IG C.2: 64 prompts; ours: 8", told)).toBe("IG C.2：64 个提示；自定：8");
  expect(translatedSource("LHP, N+", told)).toBe("LHP, N+");
});
