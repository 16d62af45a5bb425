import { useEffect, useMemo, useRef, useState } from "react";
import { freshKey } from "@/api/client";
import { draftTransport, savedOf } from "@/api/drafts";
import type { Assignment, JsonObject } from "@/api/types";
import { DraftSync, type Saved, type SyncView } from "@/lib/drafts/sync";
import { canonical } from "@/lib/json";

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

/** Carry what is on the screen into the draft, and what came from elsewhere (another tab, the offered text) back. */
export function useCarry<C extends JsonObject>(sync: DraftSync<C>, view: SyncView<C>, current: C, load: (content: C) => void): void {
  const known = useRef<string | null>(null);
  useEffect(() => {
    const text = canonical(current);
    const before = known.current;
    known.current = text;
    // The first time is what the screen began with.
    if (before !== null && before !== text) sync.change(current);
  });
  useEffect(() => {
    if (view.arrivals === 0 || view.content === null) return;
    known.current = canonical(view.content);
    load(view.content);
    // Only an arrival loads: what was typed here a moment ago must not come back over what is typed now.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [view.arrivals]);
}
