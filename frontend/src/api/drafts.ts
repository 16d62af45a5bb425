/** How drafts travel: If-Match with the revision, 412 with the newer draft. */

import { api, body } from "@/api/client";
import { ApiError } from "@/api/errors";
import type { JsonObject, ServerDraft } from "@/api/types";
import { type Saved, StaleDraft, type Transport } from "@/lib/drafts/sync";
import { serverNow } from "@/lib/time";

export function savedOf<C extends JsonObject>(draft: ServerDraft | null): Saved<C> | null {
  return draft && { content: draft.content as C, revision: draft.revision, savedAt: Date.parse(draft.saved_at) };
}

export function draftTransport<C extends JsonObject>(assignment: string): Transport<C> {
  return {
    async put(content, revision, isLeaving) {
      const header = revision === null ? { "If-None-Match": "*" } : { "If-Match": `"${revision}"` };
      try {
        const saved = await body(
          api.PUT("/api/v1/assignments/{assignment_id}/draft/", {
            params: { path: { assignment_id: assignment }, header },
            body: { content },
            keepalive: isLeaving,
          }),
        );
        return { revision: saved.revision, savedAt: Date.parse(saved.saved_at) };
      } catch (error) {
        const newer = error instanceof ApiError && error.code === "draft_stale" ? error.extra["draft"] : null;
        const saved = newer ? savedOf<C>(newer as ServerDraft) : null;
        throw saved ? new StaleDraft(saved) : error;
      }
    },
    isPassing: (error) => error instanceof ApiError && error.isPassing,
    now: serverNow,
  };
}
