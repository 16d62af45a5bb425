/** Which events of the log a project's page tells, and which are too small. */

const KNOWN = [
  "project.created", "project.changed", "membership.created", "membership.changed", "membership.removed", "prompts.imported", "prompt.added", "prompt.cleared", "rankings.imported",
  "round.opened", "round.moved", "round.advanced", "round.promoted", "round.dropped", "round.cancelled", "round.failed", "round.retried", "round.automatic_set",
  "batch.opened", "batch.frozen", "batch.cancelled", "run.queued", "run.claimed", "run.succeeded", "run.failed", "run.cancelled", "run.lost", "run.released", "run.retried",
  "sampling_job.done", "sampling_job.failed", "sampling_job.cancelled", "version.registered", "version.promoted", "version.dropped", "version.retired", "snapshot.frozen",
] as const;

export type KnownEvent = (typeof KNOWN)[number];

export const isKnown = (kind: string): kind is KnownEvent => (KNOWN as readonly string[]).includes(kind);

const NOISE = /^(assignment|draft|task|slot|ranking|demonstration|skip|sampling_job\.(claimed|given_back|lost|requested)|api_token|sign_in_link|user|run\.(claimed|cancel_requested))\b/;

export const isNoise = (kind: string) => NOISE.test(kind);
