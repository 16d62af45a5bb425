/** Rounds, runs, versions and snapshots as the REST interface sends them. */

import type { JsonObject, Json, Message, TaskKind } from "@/api/types";

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

export type VersionKind = "base" | "sft" | "reward" | "policy" | "moderation" | "embedding" | "external";
export type Stage = "ready" | "current" | "retired" | "dropped";

export interface VersionRef {
  id: string;
  name: string;
  kind: VersionKind;
  stage: Stage;
}

export interface Version extends VersionRef {
  digest: string;
  parameters: number | null;
  context_tokens: number | null;
  metrics: JsonObject;
  card: JsonObject;
  is_synthetic: boolean;
  created_at: string;
  parents: { role: string; id: string; name: string }[];
  made_by: string | null;
  round: number | null;
}

export interface Lineage {
  nodes: { id: string; type: "version" | "run" | "snapshot" | "labeler"; label: string; [key: string]: Json }[];
  edges: { from: string; to: string; role: string }[];
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

// Data.

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

export interface ProjectEvent {
  id: string;
  kind: string;
  subject: string;
  actor: string;
  at: string;
  [key: string]: Json;
}
