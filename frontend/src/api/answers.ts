/** Answers that were given are sent until the server has them, whatever happens to the page meanwhile. */

import { api, body, freshKey } from "@/api/client";
import { ApiError } from "@/api/errors";
import type { SubmitBody, SubmitResult } from "@/api/types";
import { dropAnswer, keepAnswer, type PendingAnswer, pendingAnswers, removeDraft } from "@/lib/drafts/store";

export type Pending = PendingAnswer<SubmitBody>;

/** Send one answer under its key; once taken, nothing of it stays in this browser. */
export async function submitAnswer(user: string, assignment_id: string, answer: Pending): Promise<SubmitResult> {
  const send = (key: string) =>
    body(
      api.POST("/api/v1/assignments/{assignment_id}/submit/", {
        params: { path: { assignment_id }, header: { "Idempotency-Key": key } },
        body: answer.body,
      }),
    );
  let result: SubmitResult;
  try {
    result = await send(answer.key);
  } catch (error) {
    // An earlier try arrived although its reply did not, and the answer was changed since: a correction.
    if (!(error instanceof ApiError) || error.code !== "idempotency_key_reused") throw error;
    const key = freshKey();
    keepAnswer(user, assignment_id, { ...answer, key });
    result = await send(key);
  }
  dropAnswer(user, assignment_id);
  removeDraft(user, assignment_id);
  return result;
}

const FIRST_WAIT_MS = 1500;
const LONGEST_WAIT_MS = 30_000;
const inFlight = new Set<string>();

/**
 * Keep the answer in this browser and send it until the server takes or refuses it. Rejects with the refusal; the
 * draft of a refused answer stays.
 */
export async function deliver(user: string, assignment: string, answer: Pending, onWaiting: () => void = () => undefined): Promise<SubmitResult> {
  keepAnswer(user, assignment, answer);
  inFlight.add(assignment);
  try {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      try {
        return await submitAnswer(user, assignment, answer);
      } catch (error) {
        if (!(error instanceof ApiError) || !(error.isPassing || error.status === 401)) {
          dropAnswer(user, assignment);
          throw error;
        }
        onWaiting();
        await pause(wait);
      }
    }
  } finally {
    inFlight.delete(assignment);
  }
}

/** Wait, or less if the browser comes online. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      clearTimeout(timer);
      removeEventListener("online", go);
      resolve();
    };
    const timer = setTimeout(go, ms);
    addEventListener("online", go);
  });
}

/** Answers that an earlier page of this browser could not send. */
export function leftOver(user: string): [assignment: string, answer: Pending][] {
  return pendingAnswers<SubmitBody>(user).filter(([assignment]) => !inFlight.has(assignment));
}

/** One try for everything that waits; for sign-out. */
export async function deliverAll(user: string): Promise<void> {
  await Promise.allSettled(pendingAnswers<SubmitBody>(user).map(([assignment, answer]) => submitAnswer(user, assignment, answer)));
}
