/** Which events of the log a project's page tells, and which are too small. */

const KNOWN = [
  "project.created", "project.changed", "membership.created", "membership.removed", "prompts.imported", "prompt.added", "rankings.imported",
  "round.opened", "round.moved", "round.promoted", "round.dropped", "round.cancelled", "round.failed", "round.retried", "round.automatic_set",
  "batch.opened", "batch.frozen", "batch.cancelled", "run.queued", "run.claimed", "run.succeeded", "run.failed", "run.cancelled", "run.lost", "run.retried",
  "sampling_job.done", "sampling_job.failed", "version.registered", "version.promoted", "version.dropped", "version.retired", "snapshot.frozen",
] as const;

export type KnownEvent = (typeof KNOWN)[number];

export const isKnown = (kind: string): kind is KnownEvent => (KNOWN as readonly string[]).includes(kind);

const NOISE = /^(assignment|draft|task|slot|ranking|demonstration|skip|sampling_job\.(claimed|lost|queued|requested)|api_token|sign_in_link|user|run\.(claimed|cancel_requested))\b/;

export const isNoise = (kind: string) => NOISE.test(kind);
