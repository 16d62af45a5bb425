/** Every address of the REST interface: from its schema, and by hand where the schema does not have it yet. */

import type { paths as Generated } from "@/api/schema.gen";
import type {
  Estimate, ImportReport, Metrics, Missing, Page, Pair, Prompt, Quality, RecipeDefaults, Round, Run, Snapshot, SnapshotKind,
} from "@/api/training-types";
import type { JsonObject, Message } from "@/api/types";

interface Json<T> {
  headers: Record<string, unknown>;
  content: { "application/json": T };
}

/** One operation: P path and query and header parameters, B body, R answer. */
type Operation<R, B = undefined, P = Record<never, never>> = {
  parameters: P;
  responses: { 200: Json<R> };
} & ([B] extends [undefined] ? { requestBody?: never } : { requestBody: { content: { "application/json": B } } });

type None = Record<never, never>;
type At<N extends string> = { path: Record<N, string> };
type InProject = At<"project_id">;
type OfRound = At<"round_id">;
type OfRun = At<"run_id">;
type Note = { note?: string };

interface Written {
  "/api/v1/projects/{project_id}/prompts/": {
    get: Operation<
      Page<Prompt>,
      undefined,
      InProject & { query?: { split?: string; source?: string; search?: string; cursor?: string; page_size?: number } }
    >;
    post: Operation<Prompt, { messages?: Message[]; prompt?: string; owner_key?: string; tags?: string[] }, InProject>;
  };
  "/api/v1/prompts/{prompt_id}/": { get: Operation<Prompt, undefined, At<"prompt_id">> };
  "/api/v1/projects/{project_id}/prompts/import/": {
    post: Operation<ImportReport, string, InProject & { query?: { dry_run?: "1" } }>;
  };
  "/api/v1/projects/{project_id}/quality/": { get: Operation<Quality, undefined, InProject> };
  "/api/v1/projects/{project_id}/recipes/defaults/": { get: Operation<RecipeDefaults, undefined, InProject> };
  "/api/v1/projects/{project_id}/rounds/": {
    get: Operation<Round[], undefined, InProject>;
    post: Operation<Round, { recipe?: JsonObject; automatic?: boolean }, InProject & { header: { "Idempotency-Key": string } }>;
  };
  "/api/v1/projects/{project_id}/rounds/estimate/": {
    post: Operation<{ estimate: Estimate; missing: Missing[] }, { recipe: JsonObject }, InProject>;
  };
  "/api/v1/projects/{project_id}/runs/": { get: Operation<Page<Run>, undefined, InProject & { query?: { cursor?: string } }> };
  "/api/v1/projects/{project_id}/snapshots/": {
    get: Operation<Snapshot[], undefined, InProject>;
    post: Operation<Snapshot, { kind: SnapshotKind }, InProject>;
  };
  "/api/v1/rounds/{round_id}/": {
    get: Operation<Round, undefined, OfRound>;
    patch: Operation<Round, { automatic: boolean }, OfRound>;
  };
  "/api/v1/rounds/{round_id}/advance/": { post: Operation<Round, Note, OfRound> };
  "/api/v1/rounds/{round_id}/cancel/": { post: Operation<Round, Note, OfRound> };
  "/api/v1/rounds/{round_id}/promote/": { post: Operation<Round, Note, OfRound> };
  "/api/v1/rounds/{round_id}/drop/": { post: Operation<Round, Note, OfRound> };
  "/api/v1/rounds/{round_id}/retry/": { post: Operation<Round, Note, OfRound> };
  "/api/v1/rounds/{round_id}/simulate/": { post: Operation<None, Note, OfRound> };
  "/api/v1/rounds/{round_id}/pairs/": { get: Operation<Pair[], undefined, OfRound> };
  "/api/v1/runs/{run_id}/": { get: Operation<Run, undefined, OfRun> };
  "/api/v1/runs/{run_id}/metrics/": { get: Operation<Metrics, undefined, OfRun & { query?: { after?: number } }> };
  "/api/v1/runs/{run_id}/samples/": { get: Operation<JsonObject[], undefined, OfRun> };
  "/api/v1/runs/{run_id}/cancel/": { post: Operation<Run, None, OfRun> };
  "/api/v1/runs/{run_id}/retry/": { post: Operation<Run, None, OfRun> };
  "/api/v1/snapshots/{snapshot_id}/": { get: Operation<Snapshot, undefined, At<"snapshot_id">> };
}

export type paths = Generated & Omit<Written, keyof Generated>;
