/** Short names for rounds, runs, snapshots, prompts and quality; the shapes come from the interface's schema. */

import type { components } from "@/api/schema.gen";

type Schemas = components["schemas"];

export type Round = Schemas["Round"];
export type RoundState = Round["state"];
export type RoundStep = Schemas["RoundStep"];
export type RoundAction = Round["actions"][number];
export type Evaluation = Schemas["Evaluation"];
export type Pair = Schemas["EvaluationPair"];
export type VersionRef = Schemas["VersionRefOut"];

export type RecipeDefaults = Schemas["RecipeDefaults"];
export type RecipeField = Schemas["RecipeField"];
export type RecipeFields = Schemas["RecipeFields"];
export type PresetValue = Schemas["PresetValue"];
export type RecipeEstimate = Schemas["RecipeEstimate"];
export type Missing = Schemas["MissingPart"];

export type Run = Schemas["Run"];
export type RunRef = Schemas["RunRef"];
export type RunState = Run["state"];
export type RunKind = Run["kind"];
export type RunSample = Schemas["RunSample"];
export type Metrics = Schemas["Metrics"];
export type MetricRow = Schemas["MetricRow"];
export type Glossary = Metrics["glossary"];

export type Snapshot = Schemas["Snapshot"];
export type SnapshotKind = Snapshot["kind"];
export type Split = "train" | "valid" | "heldout";

export type Prompt = Schemas["Prompt"];
export type ImportReport = Schemas["ImportReport"];
export type Quality = Schemas["Quality"];
