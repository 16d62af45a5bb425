/** Rounds and runs as they change: the stream of the server, and asking every five seconds while there is none. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { MetricRow, Metrics, Round, Run, RunSample } from "@/api/training-types";
import { useEventStream, type StreamState } from "@/lib/event-stream";
import { mergeRows } from "@/lib/series";

const ENDED_ROUND = new Set(["promoted", "dropped", "cancelled", "failed"]);
const ENDED_RUN = new Set(["succeeded", "failed", "cancelled"]);
const POLL_MS = 5000;

export const isRoundEnded = (state: string) => ENDED_ROUND.has(state);
export const isRunEnded = (state: string) => ENDED_RUN.has(state);

const pollWhen = (isLive: boolean, stream: StreamState) => (isLive && stream === "waiting" ? POLL_MS : false);

export function keepRound(round: Round): void {
  queryClient.setQueryData(["round", round.id], round);
  for (const { run } of round.steps) {
    // A run that had ended is followed no more: when it goes again, by a retry, only its round tells.
    const known = run && queryClient.getQueryData<Run>(["run", run.id]);
    if (known && known.state !== run.state) void queryClient.invalidateQueries({ queryKey: ["run", run.id] });
  }
}

/** A round, followed while it is live. `id` null: none. */
export function useRound(id: string | null) {
  const [isLive, setLive] = useState(false);
  const stream = useEventStream(id && isLive ? `/api/v1/rounds/${id}/events/` : null, {
    round: (data) => keepRound(data as Round),
  });
  const query = useQuery({
    queryKey: ["round", id],
    enabled: id !== null,
    queryFn: () => body(api.GET("/api/v1/rounds/{round_id}/", { params: { path: { round_id: id ?? "" } } })),
    refetchInterval: pollWhen(isLive, stream),
  });
  const live = query.data !== undefined && !isRoundEnded(query.data.state);
  if (live !== isLive) setLive(live);
  return { query, stream };
}

export function useRounds(project: string, enabled = true) {
  return useQuery({
    queryKey: ["rounds", project],
    enabled,
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/rounds/", { params: { path: { project_id: project } } })),
  });
}

function addRows(id: string, rows: MetricRow[]): void {
  queryClient.setQueryData<Metrics>(["run", id, "metrics"], (old) => (old ? { ...old, rows: mergeRows(old.rows, rows) } : old));
}

/** A run with its numbers and samples, followed while it goes. */
export function useRun(id: string) {
  const [isLive, setLive] = useState(false);
  const path = { params: { path: { run_id: id } } };
  const stream = useEventStream(isLive ? `/api/v1/runs/${id}/events/` : null, {
    run: (data) => queryClient.setQueryData(["run", id], data as Run),
    metrics: (data) => addRows(id, (data as { rows: MetricRow[] }).rows),
    samples: (data) => queryClient.setQueryData(["run", id, "samples"], data as RunSample[]),
  });
  const refetchInterval = pollWhen(isLive, stream);
  const run = useQuery({ queryKey: ["run", id], queryFn: () => body(api.GET("/api/v1/runs/{run_id}/", path)), refetchInterval });
  const metrics = useQuery<Metrics>({ queryKey: ["run", id, "metrics"], queryFn: () => body(api.GET("/api/v1/runs/{run_id}/metrics/", path)), refetchInterval });
  const samples = useQuery<RunSample[]>({ queryKey: ["run", id, "samples"], queryFn: () => body(api.GET("/api/v1/runs/{run_id}/samples/", path)), refetchInterval });
  const live = run.data !== undefined && !isRunEnded(run.data.state);
  if (live !== isLive) setLive(live);
  return { run, metrics, samples, stream };
}
