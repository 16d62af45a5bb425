import { Button, Modal, Text } from "@mantine/core";
import { useState } from "react";
import { api } from "@/api/client";
import { deliverAll } from "@/api/answers";
import { draftTransport } from "@/api/drafts";
import type { JsonObject } from "@/api/types";
import { useTexts } from "@/app/texts";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { clearPerson, pendingAnswers, unsentDrafts, writeDraft } from "@/lib/drafts/store";
import { flushAll } from "@/lib/drafts/sync";

/** Send every text that only this browser has. Returns how many could not be sent. */
async function sendUnsent(user: string): Promise<number> {
  await flushAll();
  await deliverAll(user);
  for (const [assignment, draft] of unsentDrafts<JsonObject>(user)) {
    const sent = await draftTransport(assignment).put(draft.content, draft.revision, false).catch(() => null);
    if (sent) writeDraft(user, assignment, { ...draft, revision: sent.revision, isSent: true });
  }
  return unsentDrafts(user).length + pendingAnswers(user).length;
}

async function leave(user: string): Promise<void> {
  await api.POST("/api/v1/auth/sign-out/");
  clearPerson(user);
  location.assign("/sign-in");
}

/** Signing out by hand sends what is unsent and leaves nothing of the person on this computer. */
export function useSignOut(user: string) {
  const { t } = useTexts();
  const [unsent, setUnsent] = useState(0);
  const [error, setError] = useState<unknown>(null);

  const go = async (isForced: boolean) => {
    try {
      const left = isForced ? 0 : await sendUnsent(user);
      if (left > 0) setUnsent(left);
      else await leave(user);
    } catch (problem) {
      setError(problem);
    }
  };
  const close = () => {
    setUnsent(0);
    setError(null);
  };
  const dialog = (
    <Modal opened={unsent > 0 || error !== null} onClose={close} title={t("sign-out.unsent.title")}>
      {error ? <ErrorPanel error={error} /> : <Text size="sm">{t("sign-out.unsent", { count: unsent })}</Text>}
      <DialogActions>
        <Button variant="default" onClick={close}>
          {t("sign-out.stay")}
        </Button>
        {unsent > 0 ? (
          <Button color="red" onClick={() => void go(true)}>
            {t("sign-out.anyway")}
          </Button>
        ) : null}
      </DialogActions>
    </Modal>
  );
  return { signOut: () => void go(false), dialog };
}
