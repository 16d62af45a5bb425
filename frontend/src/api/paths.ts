/** Every address of the REST interface with what it takes and gives. */

import type {
  Estimate, Lineage, Metrics, Missing, Pair, ProjectEvent, RecipeDefaults, Round, Run, Snapshot, SnapshotKind,
  Version,
} from "@/api/training-types";
import type {
  ApiToken, Assignment, BaseModel, DemonstrationBody, ImportReport, JsonObject, Language, Me, Member, Message,
  NextTask, Page, Pool, Project, ProjectDetail, Prompt, Quality, RankingBody, Role, ServerDraft, SkipReason,
  SubmitResult, TaskKind,
} from "@/api/types";

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
type Id = At<"id">;
type Keyed = Id & { header: { "Idempotency-Key": string } };
type NextKinds = { kinds?: TaskKind[] } | null;
type Note = { note?: string };

export interface paths {
  "/api/v1/me/": { get: Operation<Me>; patch: Operation<Me, { display_name?: string; language?: Language }> };
  "/api/v1/auth/sign-in/": { post: Operation<Me, { secret: string }> };
  "/api/v1/auth/sign-out/": { post: Operation<undefined> };
  "/api/v1/auth/csrf/": { get: Operation<{ csrf_token: string }> };
  "/api/v1/tokens/": {
    get: Operation<ApiToken[]>;
    post: Operation<ApiToken & { token: string }, { name: string; scopes: string[]; project?: string; expires_at?: string }>;
  };
  "/api/v1/tokens/{id}/": { delete: Operation<undefined, undefined, Id> };
  "/api/v1/base-models/": { get: Operation<BaseModel[]> };

  "/api/v1/projects/": {
    get: Operation<Project[]>;
    post: Operation<ProjectDetail, { name: string; description?: string; base_model: string; guidelines?: string }>;
  };
  "/api/v1/projects/{id}/": {
    get: Operation<ProjectDetail, undefined, Id>;
    patch: Operation<ProjectDetail, { name?: string; description?: string; guidelines?: string }, Id>;
  };
  "/api/v1/projects/{id}/members/": {
    get: Operation<Member[], undefined, Id>;
    post: Operation<
      { member: Member; sign_in_link: string },
      { username: string; display_name?: string; role: Role; pool?: Pool },
      Id
    >;
  };
  "/api/v1/projects/{id}/members/{user_id}/": {
    patch: Operation<Member, { role?: Role; pool?: Pool }, At<"id" | "user_id">>;
    delete: Operation<undefined, undefined, At<"id" | "user_id">>;
  };
  "/api/v1/projects/{id}/members/{user_id}/link/": {
    post: Operation<{ sign_in_link: string }, undefined, At<"id" | "user_id">>;
  };
  "/api/v1/projects/{id}/prompts/": {
    get: Operation<
      Page<Prompt>,
      undefined,
      Id & { query?: { split?: string; source?: string; search?: string; cursor?: string; page_size?: number } }
    >;
    post: Operation<Prompt, { messages?: Message[]; prompt?: string; owner_key?: string; tags?: string[] }, Id>;
  };
  "/api/v1/prompts/{id}/": { get: Operation<Prompt, undefined, Id> };
  "/api/v1/projects/{id}/prompts/import/": {
    post: Operation<ImportReport, string, Id & { query?: { dry_run?: "1" } }>;
  };
  "/api/v1/projects/{id}/tasks/next/": {
    post: Operation<NextTask, { kinds?: TaskKind[]; prefetch?: boolean }, Id>;
  };
  "/api/v1/projects/{id}/quality/": { get: Operation<Quality, undefined, Id> };
  "/api/v1/projects/{id}/recipes/defaults/": { get: Operation<RecipeDefaults, undefined, Id> };
  "/api/v1/projects/{id}/rounds/": {
    get: Operation<Round[], undefined, Id>;
    post: Operation<Round, { recipe?: JsonObject; automatic?: boolean }, Keyed>;
  };
  "/api/v1/projects/{id}/rounds/estimate/": {
    post: Operation<{ estimate: Estimate; missing: Missing[] }, { recipe: JsonObject }, Id>;
  };
  "/api/v1/projects/{id}/runs/": { get: Operation<Page<Run>, undefined, Id & { query?: { cursor?: string } }> };
  "/api/v1/projects/{id}/models/": { get: Operation<Version[], undefined, Id> };
  "/api/v1/projects/{id}/snapshots/": {
    get: Operation<Snapshot[], undefined, Id>;
    post: Operation<Snapshot, { kind: SnapshotKind }, Id>;
  };
  "/api/v1/projects/{id}/events/": { get: Operation<Page<ProjectEvent>, undefined, Id & { query?: { cursor?: string } }> };

  "/api/v1/assignments/": {
    get: Operation<Assignment[], undefined, { query: { project: string; state?: "submitted" } }>;
  };
  "/api/v1/assignments/{id}/": { get: Operation<Assignment, undefined, Id> };
  "/api/v1/assignments/{id}/draft/": {
    get: Operation<ServerDraft, undefined, Id>;
    put: Operation<
      { revision: number; saved_at: string },
      { content: JsonObject },
      Id & { header: { "If-Match"?: string; "If-None-Match"?: string } }
    >;
  };
  "/api/v1/assignments/{id}/submit/": {
    post: Operation<SubmitResult, (DemonstrationBody | RankingBody) & { next?: NextKinds }, Keyed>;
  };
  "/api/v1/assignments/{id}/skip/": {
    post: Operation<{ next: NextTask | null }, { reason: SkipReason; note?: string; next?: NextKinds }, Id>;
  };
  "/api/v1/assignments/{id}/release/": { post: Operation<undefined, undefined, Id> };
  "/api/v1/assignments/{id}/heartbeat/": { post: Operation<{ lease_until: string }, { active_ms: number }, Id> };

  "/api/v1/rounds/{id}/": { get: Operation<Round, undefined, Id>; patch: Operation<Round, { automatic: boolean }, Id> };
  "/api/v1/rounds/{id}/advance/": { post: Operation<Round, Note, Id> };
  "/api/v1/rounds/{id}/cancel/": { post: Operation<Round, Note, Id> };
  "/api/v1/rounds/{id}/promote/": { post: Operation<Round, Note, Id> };
  "/api/v1/rounds/{id}/drop/": { post: Operation<Round, Note, Id> };
  "/api/v1/rounds/{id}/retry/": { post: Operation<Round, Note, Id> };
  "/api/v1/rounds/{id}/simulate/": { post: Operation<None, Note, Id> };
  "/api/v1/rounds/{id}/pairs/": { get: Operation<Pair[], undefined, Id> };

  "/api/v1/runs/{id}/": { get: Operation<Run, undefined, Id> };
  "/api/v1/runs/{id}/metrics/": { get: Operation<Metrics, undefined, Id & { query?: { after?: number } }> };
  "/api/v1/runs/{id}/samples/": { get: Operation<JsonObject[], undefined, Id> };
  "/api/v1/runs/{id}/cancel/": { post: Operation<Run, None, Id> };
  "/api/v1/runs/{id}/retry/": { post: Operation<Run, None, Id> };

  "/api/v1/models/{id}/": { get: Operation<Version, undefined, Id> };
  "/api/v1/models/{id}/lineage/": { get: Operation<Lineage, undefined, Id> };
  "/api/v1/models/{id}/promote/": { post: Operation<Version, Note, Id> };
  "/api/v1/snapshots/{id}/": { get: Operation<Snapshot, undefined, Id> };
}
