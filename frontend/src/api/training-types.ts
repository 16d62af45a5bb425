/** Rounds, runs, snapshots, prompts and quality as the REST interface sends them. */

import type { JsonObject, Message, Stage, TaskKind, VersionKind } from "@/api/types";

export type RoundState =
  | "draft"
  | "demonstrating"
  | "training_sft"
  | "sampling"
  | "ranking"
  | "training_reward"
  | "training_policy"
  | "evaluating"
  | "review"
  | "promoted"
  | "dropped"
  | "cancelled"
  | "failed";

/** One field of a configuration, as the server describes it. */
export type FieldDescription = JsonObject;

export interface Missing {
  code: string;
  message: string;
  remedy: string;
}

export interface Estimate {
  steps: { step: RoundState; seconds: number; basis: string }[];
  total_seconds: number;
}

export interface RecipeDefaults {
  recipe: JsonObject;
  fields: Record<"recipe" | "sft" | "reward" | "ppo", FieldDescription[]>;
  estimate: Estimate;
  missing: Missing[];
}

export interface VersionRef {
  id: string;
  name: string;
  kind: VersionKind;
  stage: Stage;
}

export type RunState = "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type RunKind = "pretrain" | "sft" | "reward" | "ppo" | "score";

export interface RunRef {
  id: string;
  kind: RunKind;
  state: RunState;
  step?: number;
  progress?: number | null;
}

export interface Run extends RunRef {
  round: { id: string; number: number } | null;
  config: JsonObject;
  seed: number;
  step: number;
  progress: number | null;
  eta_seconds: number | null;
  error: { code: string; message: string; remedy?: string } | null;
  result: JsonObject | null;
  produced: VersionRef | null;
  model: VersionRef | null;
  reference: VersionRef | null;
  reward: VersionRef | null;
  snapshot: { id: string; kind: string; counts: JsonObject } | null;
  attempts: {
    fence: number;
    state: "running" | "succeeded" | "failed" | "lost" | "fenced" | "cancelled";
    reason: string;
    started_at: string;
    ended_at: string | null;
    resumed_from: string | number | null;
  }[];
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface MetricRow {
  step: number;
  values: Record<string, number | null>;
}

export interface Metrics {
  glossary: Record<string, { unit: string; help: string; healthy: string }>;
  rows: MetricRow[];
}

export interface RoundStep {
  step: RoundState;
  state: "done" | "active" | "waiting" | "skipped" | "failed";
  done: number | null;
  wanted: number | null;
  unit: "answers" | "completions" | "steps";
  run: RunRef | null;
  job: { id: string; state: string; finished: number; wanted: number; tokens_per_second: number | null } | null;
  batch: { id: string; kind: TaskKind } | null;
  started_at: string | null;
  ended_at: string | null;
}

export type RoundAction = "advance" | "cancel" | "promote" | "drop" | "retry" | "simulate";

export interface Round {
  id: string;
  project: string;
  number: number;
  state: RoundState;
  automatic: boolean;
  step_done: boolean;
  waiting_for: string;
  reason: string;
  failed_at_step: RoundState | "" | null;
  recipe: JsonObject;
  is_synthetic: boolean;
  created_at: string;
  ended_at: string | null;
  opponent: VersionRef | null;
  sft: VersionRef | null;
  reward: VersionRef | null;
  candidate: VersionRef | null;
  steps: RoundStep[];
  evaluation: {
    reward_mean: { candidate: number; current: number };
    reward_sd: { candidate: number; current: number };
    kl_mean: number;
    kl_budget: number;
    length_mean: { candidate: number; current: number };
    comparisons: { candidate_wins: number; current_wins: number; ties: number; wanted: number };
  } | null;
  actions: RoundAction[];
}

export interface Pair {
  prompt: { messages: Message[] };
  candidate: { text: string; reward: number | null };
  current: { text: string; reward: number | null };
  kl: number | null;
}

export type SnapshotKind = "sft" | "rankings" | "prompts";
export type ExportFormat = "rankings" | "preference" | "sft" | "prompts";

export interface Snapshot {
  id: string;
  kind: SnapshotKind;
  digest: string;
  counts: JsonObject;
  as_of: string;
  is_synthetic: boolean;
  formats: ExportFormat[];
}

export type Split = "train" | "valid" | "heldout";

export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

export interface Prompt {
  id: string;
  messages: Message[];
  split: Split;
  source: string;
  external_id: string;
  tags: string[];
  created_at: string;
  tasks: { demonstration: number; ranking: number };
}

export interface ImportReport {
  imported: number;
  duplicates: number;
  demonstrations: number;
  splits: { train: number; valid: number; heldout: number };
}

export interface QualityRow {
  labeler: string;
  is_you: boolean;
  is_synthetic: boolean;
  answers: number;
  skips: number;
  median_seconds: number | null;
}

export interface Quality {
  by_labeler: QualityRow[];
  agreement: { strict: number | null; half: number | null; exact: number | null; tau_b: number | null; pairs: number } | null;
}
