/** People, projects, prompts and labeling as the REST interface sends and takes them. Times are ISO 8601 in UTC, ids are UUIDs. */

import type { RoundState } from "@/api/training-types";

export type Role = "labeler" | "reviewer" | "admin";
export type Pool = "train" | "heldout" | "researcher";
export type Split = "train" | "valid" | "heldout";
export type Language = "en" | "zh-Hans";
export type TaskKind = "demonstration" | "ranking" | "comparison";
export type SkipReason = "unclear" | "expertise" | "language" | "sensitive" | "broken";
export type AssignmentState = "leased" | "submitted" | "skipped" | "released" | "expired" | "late";
export type JsonObject = { [key: string]: Json };
export type Json = string | number | boolean | null | Json[] | JsonObject;

export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Membership {
  project: { id: string; name: string };
  role: Role;
  pool: Pool;
}

export interface Me {
  id: string;
  username: string;
  display_name: string;
  language: Language;
  is_synthetic: boolean;
  memberships: Membership[];
}

export interface ApiToken {
  id: string;
  name: string;
  scopes: string[];
  project: string | null;
  created_at: string;
  expires_at: string | null;
  last_used_at?: string | null;
  token?: string;
}

export interface Project {
  id: string;
  name: string;
  description: string;
  is_demo: boolean;
  role: Role;
  counts: { prompts: number; open_tasks: number; rankings: number; demonstrations: number; versions: number };
  round: { id: string; number: number; state: RoundState } | null;
  current_policy: { id: string; name: string } | null;
}

export interface ProjectDetail extends Project {
  guidelines: string;
  guideline_version: number;
}

export interface Member {
  user: { id: string; display_name: string; username?: string; is_synthetic: boolean };
  role: Role;
  pool: Pool;
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

export interface BaseModel {
  name: string;
  parameters: number;
  context_tokens: number;
  card: JsonObject;
}

// Labeling.

export interface Candidate {
  id: string;
  text: string;
  tokens: number | null;
  cut: boolean;
  duplicates: number;
}

export interface DemonstrationBody {
  text: string;
  note?: string;
  active_ms?: number;
}

export interface RankingBody {
  tiers: string[][];
  likert?: Record<string, number>;
  confidence?: number | null;
  note?: string;
  active_ms?: number;
}

export interface ServerDraft {
  content: JsonObject;
  revision: number;
  saved_at: string;
}

export interface Assignment {
  id: string;
  state: AssignmentState;
  kind: TaskKind;
  lease_until: string;
  seconds_left: number;
  created_at: string;
  guideline_version: number;
  prompt: { messages: Message[]; tags: string[] };
  max_completion_tokens: number;
  allow_ties: boolean;
  batch: { title: string };
  draft: ServerDraft | null;
  progress: { mine: number; done: number; quota: number };
  candidates: Candidate[];
  answer: (Partial<DemonstrationBody & RankingBody> & { revision?: number; submitted_at?: string }) | null;
}

export interface EmptyQueue {
  reason: "no_open_tasks" | "all_leased" | "all_done_by_you";
  retry_after_s?: number | null;
  detail: string;
}

export interface NextTask {
  assignment: Assignment | null;
  empty: EmptyQueue | null;
}

export interface SubmitResult {
  answer: { id: string; status: "submitted" | "late"; revision: number };
  next: NextTask | null;
}

export interface QualityRow {
  labeler: string;
  answers: number;
  skips: number;
  median_seconds: number | null;
}

export interface Quality {
  by_labeler: QualityRow[];
  agreement: { strict: number | null; half: number | null; exact: number | null; tau_b: number | null; pairs: number };
}
