import { useCallback, useEffect, useRef, useState } from "react";
import { deliver, leftOver, type Pending } from "@/api/answers";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { Assignment, EmptyQueue, NextTask, SkipReason, SubmitResult } from "@/api/types";

export type Queue =
  | { kind: "loading" }
  | { kind: "failed"; error: unknown }
  | { kind: "task"; assignment: Assignment }
  | { kind: "empty"; empty: EmptyQueue; serial: number };

interface Reports {
  onTaken: (assignment: Assignment | null, result: SubmitResult) => void;
  onRefused: (assignmentId: string, error: unknown) => void;
}

const lease = (project_id: string, prefetch: boolean) =>
  body(api.POST("/api/v1/projects/{project_id}/tasks/next/", { params: { path: { project_id } }, body: { prefetch } }));

let serial = 0;

const toQueue = (next: NextTask): Queue => {
  if (next.assignment) return { kind: "task", assignment: next.assignment };
  serial += 1;
  return { kind: "empty", empty: next.empty ?? { reason: "no_open_tasks", retry_after_s: null, detail: "" }, serial };
};

const oneMore = (assignment: Assignment): Assignment => {
  const { progress } = assignment;
  return { ...assignment, progress: { ...progress, mine: progress.mine + 1, done: Math.min(progress.done + 1, progress.quota) } };
};

const isLate = (result: SubmitResult | null): boolean => result?.answer.status === "late";

function taken(reports: Reports, assignment: Assignment | null, result: SubmitResult): void {
  reports.onTaken(assignment, result);
  void queryClient.invalidateQueries({ queryKey: ["my-work"] });
}

/**
 * The labeler's queue: one task open and one fetched ahead, so that the next one stands there at once. Answers are
 * sent behind it; one that the server refuses comes back by `onRefused`.
 */
export function useQueue(user: string, project: string, reports: Reports) {
  const [queue, setQueue] = useState<Queue>({ kind: "loading" });
  const [waiting, setWaiting] = useState(0); // Answers that could not be sent yet.
  const ahead = useRef<Assignment | null>(null);
  // Shown here already: a reply that was under way meanwhile must not bring one of them again.
  const shown = useRef(new Set<string>());
  const report = useRef(reports);
  useEffect(() => {
    report.current = reports;
  });

  const fetchAhead = useCallback(
    () =>
      lease(project, true)
        .then(({ assignment }) => {
          if (assignment && !shown.current.has(assignment.id)) ahead.current = assignment;
        })
        .catch(() => undefined),
    [project],
  );

  const show = useCallback(
    (next: NextTask) => {
      setQueue(toQueue(next));
      if (!next.assignment) return;
      shown.current.add(next.assignment.id);
      if (ahead.current?.id === next.assignment.id) ahead.current = null;
      void fetchAhead();
    },
    [fetchAhead],
  );

  const take = useCallback(() => {
    ahead.current = null;
    return lease(project, false).then(show, (error: unknown) => setQueue({ kind: "failed", error }));
  }, [project, show]);

  /** Show the task fetched ahead, if there is one. It was fetched before `answered` was, so that one is not in its progress yet. */
  const swap = useCallback((answered: Assignment | null): boolean => {
    const next = ahead.current;
    ahead.current = null;
    if (!next) return false;
    shown.current.add(next.id);
    setQueue({ kind: "task", assignment: answered?.batch.title === next.batch.title ? oneMore(next) : next });
    return true;
  }, []);

  const send = useCallback(
    async (id: string, answer: Pending, assignment: Assignment | null): Promise<SubmitResult | null> => {
      let hasWaited = false;
      try {
        const result = await deliver(user, id, answer, () => {
          if (!hasWaited) setWaiting((count) => count + 1);
          hasWaited = true;
        });
        taken(report.current, assignment, result);
        return result;
      } catch (error) {
        report.current.onRefused(id, error);
        return null;
      } finally {
        if (hasWaited) setWaiting((count) => count - 1);
      }
    },
    [user],
  );

  /** Go on at once where nothing is left for the server to refuse; else wait for its word, and reject with its refusal. */
  const submit = useCallback(
    async (assignment: Assignment, answer: Pending, isCertain: boolean) => {
      if (isCertain && ahead.current) {
        swap(assignment);
        const result = await send(assignment.id, answer, assignment);
        // What ended this task may have ended the one fetched ahead, which nobody has worked on yet.
        await (isLate(result) ? take() : fetchAhead());
        return;
      }
      const wanted = ahead.current ? answer : { ...answer, body: { ...answer.body, next: {} } };
      const result = await deliver(user, assignment.id, wanted);
      taken(report.current, assignment, result);
      if (isLate(result)) ahead.current = null;
      if (swap(assignment)) await fetchAhead();
      else if (result.next) show(result.next);
      else await take();
    },
    [fetchAhead, send, show, swap, take, user],
  );

  const skip = useCallback(
    async (assignment: Assignment, reason: SkipReason, note: string) => {
      await body(
        api.POST("/api/v1/assignments/{assignment_id}/skip/", {
          params: { path: { assignment_id: assignment.id } },
          body: { reason, note },
        }),
      );
      if (swap(null)) await fetchAhead();
      else await take();
    },
    [fetchAhead, swap, take],
  );

  useEffect(() => {
    // Outside the effect's own run: the answer of the server sets the state.
    void take();
    for (const [id, answer] of leftOver(user)) void send(id, answer, null);
  }, [send, take, user]);

  return { queue, waiting, submit, skip, take };
}
