import { useState } from "react";
import type { Pending } from "@/api/answers";
import type { JsonObject, SubmitBody } from "@/api/types";
import type { DraftSync } from "@/lib/drafts/sync";
import { serverNow } from "@/lib/time";
import type { TaskDialog, TaskProps } from "./task";

/** What every task screen does alike: dialogs, the keys for the whole task, sending with the refusal shown. */
export function useTask<C extends JsonObject>(props: TaskProps, sync: DraftSync<C>) {
  const [dialog, setDialog] = useState<TaskDialog>(null);
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const send = async (body: SubmitBody, isCertain: boolean) => {
    if (isSending || props.isReadOnly) return;
    setSending(true);
    setError(null);
    const answer: Pending = { body, key: sync.key, at: serverNow() };
    // From here on the answer is what is sent; its draft stays in this browser until the server has it.
    sync.stop();
    try {
      await props.onSubmit(answer, isCertain);
    } catch (problem) {
      sync.start();
      setError(problem);
    } finally {
      setSending(false);
    }
  };

  return { dialog, setDialog, isSending, error, send };
}

/** Keys that mean the same on every task screen. Returns true when the key was one of them. */
export function taskKey(key: string, act: { open: (dialog: TaskDialog) => void; submit: () => void; canSkip: boolean }): boolean {
  if (key === "Ctrl+Enter") act.submit();
  else if (key === "s" && act.canSkip) act.open("skip");
  else if (key === "u") act.open("guidelines");
  else if (key === "?") act.open("help");
  else return false;
  return true;
}

