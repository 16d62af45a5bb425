/** The recipe as the launch form edits it. Pure: every change gives a new recipe, nothing is checked but by the server. */

import type { ApiError, FieldProblem } from "@/api/errors";
import type { PresetValue, RecipeField } from "@/api/training-types";
import type { Json, JsonObject } from "@/api/types";

export const STEPS = ["demonstrating", "training_sft", "sampling", "ranking", "training_reward", "training_policy", "evaluating"] as const;
export const STAGES = ["sft", "reward", "ppo", "rloo", "dpo"] as const;
export const ALGORITHMS = ["ppo", "rloo", "dpo"] as const;
export type Stage = (typeof STAGES)[number];
export const STAGE_STEP: Record<Stage, (typeof STEPS)[number]> = { sft: "training_sft", reward: "training_reward", ppo: "training_policy", rloo: "training_policy", dpo: "training_policy" };

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

export function partOf(recipe: JsonObject, name: string): JsonObject {
  const part = recipe[name];
  return isObject(part) ? part : {};
}

export function stepsOf(recipe: JsonObject): string[] {
  const steps = recipe["steps"];
  return Array.isArray(steps) ? steps.filter((step): step is string => typeof step === "string") : [];
}

/** How the policy learns; recipes written before there was a choice say nothing. */
export const algorithmOf = (recipe: JsonObject): string => String(recipe["policy_algorithm"] ?? ALGORITHMS[0]);

/** The stages that this recipe trains: of the policy's algorithms only the chosen one. */
export function stagesOf(recipe: JsonObject): Stage[] {
  const steps = stepsOf(recipe);
  const isOther = (stage: Stage) => ALGORITHMS.some((one) => one === stage) && stage !== algorithmOf(recipe);
  return STAGES.filter((stage) => steps.includes(STAGE_STEP[stage]) && !isOther(stage));
}

/** With or without a step; steps keep their one possible order. */
export function withStep(recipe: JsonObject, step: string, isOn: boolean): JsonObject {
  const chosen = new Set(stepsOf(recipe));
  if (isOn) chosen.add(step);
  else chosen.delete(step);
  return { ...recipe, steps: STEPS.filter((one) => chosen.has(one)) };
}

/** A setting of a part (`sampling`, `sft`, ...); undefined takes the difference back, so the preset decides again. */
export function withSetting(recipe: JsonObject, part: string, name: string, value: Json | undefined): JsonObject {
  const others = Object.entries(partOf(recipe, part)).filter(([key]) => key !== name);
  return { ...recipe, [part]: Object.fromEntries(value === undefined ? others : [...others, [name, value]]) };
}

/** Another preset: what differed from the earlier one was meant for that one. */
export function withPreset(recipe: JsonObject, stage: Stage, preset: string): JsonObject {
  return { ...recipe, [stage]: { preset } };
}

export const differences = (recipe: JsonObject, stage: Stage) => Object.keys(partOf(recipe, stage)).filter((name) => name !== "preset").length;

/** What holds where a field of a stage is left empty, as training/recipe.py makes it; `isRounds`: a number of the whole round decides. */
export function inForce(recipe: JsonObject, stage: Stage, field: RecipeField, preset: PresetValue[]): { value: Json; source: string; isRounds: boolean } {
  const found = preset.find(({ name }) => name === field.name);
  const { value, source } = found ?? { value: field.default, source: field.source };
  const longest = partOf(recipe, "sampling")["max_tokens"];
  if (field.name === "max_new_tokens" && ALGORITHMS.some((one) => one === stage) && typeof longest === "number") return { value: Math.max(1, longest), source: "", isRounds: true };
  const budget = recipe["kl_budget"];
  if (field.name === "kl_budget" && typeof budget === "number" && !(typeof value === "number" && value <= budget)) return { value: budget, source: "", isRounds: true };
  return { value: value as Json, source, isRounds: false };
}

/** What a typed text means for a field; undefined: nothing was typed. What is no number stays as typed, so that nobody takes it for null. */
export function valueOf(field: Pick<RecipeField, "type" | "nullable">, text: string): Json | undefined {
  const typed = text.trim();
  if (typed === "") return undefined;
  if (field.nullable && typed === "null") return null;
  if (field.type === "bool") return typed === "true";
  if (field.type === "int" || field.type === "float") return Number.isFinite(Number(typed)) ? Number(typed) : typed;
  return typed;
}

/** A value as people write it: 9.65e-6, not 0.00000965. */
export function written(value: Json): string {
  const isSmall = typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3;
  return isSmall ? value.toExponential() : String(value);
}

/** The least and the most that a field takes; whole numbers beyond 2^53 would be sent as others than were typed. */
export function boundsOf({ type, min, max }: RecipeField): { min: number | null; max: number | null } {
  return { min, max: type === "int" && max !== null ? Math.min(max, Number.MAX_SAFE_INTEGER) : max };
}

/** Why a value cannot be sent, so that the form says it beside the field; null where it can. */
export function rangeProblem(field: RecipeField, value: Json | undefined): "number" | "whole" | "range" | null {
  const isNumber = field.type === "int" || field.type === "float";
  if (!isNumber || value === undefined || value === null) return null;
  if (typeof value !== "number") return "number";
  if (field.type === "int" && !Number.isInteger(value)) return "whole";
  const { min, max } = boundsOf(field);
  return value >= (min ?? -Infinity) && value <= (max ?? Infinity) ? null : "range";
}

/** Without the path of the field, which stands before it already: "recipe.ppo: lr is 9" is "lr is 9". */
export const withoutPath = (message: string) => message.replace(/^recipe[\w.]*(?:: )?/, "");

/** {"k": "…", "ppo.lr": "…"}: what the server refused, by the name of the field, as `say` puts it. */
export function refusedFields(error: ApiError, say: (problem: FieldProblem) => string = ({ message }) => withoutPath(message)): Record<string, string> {
  return Object.fromEntries(error.fields.map((problem) => [problem.field.replace(/^recipe\./, ""), say(problem)]));
}
