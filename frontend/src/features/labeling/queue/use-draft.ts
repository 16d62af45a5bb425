import { useEffect, useMemo, useState } from "react";
import { freshKey } from "@/api/client";
import { draftTransport, savedOf } from "@/api/drafts";
import type { Assignment, JsonObject } from "@/api/types";
import { DraftSync, type Saved, type SyncView } from "@/lib/drafts/sync";

/** What is drafted for an answer: a correction starts from the answer, unless it was changed since. */
function startOf<C extends JsonObject>(assignment: Assignment, answered: C | null): Saved<C> | null {
  const draft = savedOf<C>(assignment.draft);
  if (!answered || !assignment.answer) return draft;
  const at = Date.parse(assignment.answer.submitted_at);
  if (draft && draft.savedAt > at) return draft;
  return draft && { content: answered, revision: draft.revision, savedAt: at };
}

/** The draft of one assignment, kept here and on the server. The component must be keyed by the assignment. */
export function useDraft<C extends JsonObject>(user: string, assignment: Assignment, answered: C | null) {
  const [view, setView] = useState<SyncView<C> | null>(null);
  const sync = useMemo(
    () => new DraftSync<C>({ user, assignment: assignment.id, freshKey }, startOf(assignment, answered), draftTransport(assignment.id), setView),
    // The assignment's later copies (a new lease) do not start the draft anew.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [user, assignment.id],
  );

  useEffect(() => {
    const leave = () => {
      if (document.visibilityState === "hidden") sync.leave();
    };
    const online = () => void sync.flush();
    sync.start();
    addEventListener("pagehide", leave);
    document.addEventListener("visibilitychange", leave);
    addEventListener("online", online);
    return () => {
      sync.leave();
      sync.stop();
      removeEventListener("pagehide", leave);
      document.removeEventListener("visibilitychange", leave);
      removeEventListener("online", online);
    };
  }, [sync]);

  return { sync, view: view ?? sync.view, started: sync.view.content ?? answered };
}
