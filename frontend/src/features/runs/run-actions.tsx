import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { isRunEnded } from "@/api/live";
import { queryClient, useRole } from "@/api/session";
import type { Run } from "@/api/training-types";
import { Confirm } from "@/components/confirm";
import { useErrorText } from "@/components/error-panel";
import { notify } from "@/components/notify";
import { useTexts } from "./texts";

/** Cancel a run that goes, or try again one that did not come to its end. */
export function RunActions({ run }: { run: Run }) {
  const { t } = useTexts();
  const say = useErrorText();
  const [isAsking, setAsking] = useState(false);
  const params = { params: { path: { run_id: run.id } } };
  const keep = (changed: Run) => {
    queryClient.setQueryData(["run", run.id], changed);
    void queryClient.invalidateQueries({ queryKey: ["round"] });
  };
  const cancel = useMutation({ mutationFn: () => body(api.POST("/api/v1/runs/{run_id}/cancel/", params)), onSuccess: (changed) => { keep(changed); setAsking(false); } });
  const retry = useMutation({ mutationFn: () => body(api.POST("/api/v1/runs/{run_id}/retry/", params)), onSuccess: keep, onError: (error) => notify(say(error), { isError: true }) });
  if (useRole() !== "admin") return null;
  return (
    <>
      {isRunEnded(run.state) || run.cancel_requested ? null : <Button variant="default" onClick={() => setAsking(true)}>{t("cancel")}</Button>}
      {run.state === "failed" || run.state === "cancelled" ? <Button loading={retry.isPending} onClick={() => retry.mutate()}>{t("retry")}</Button> : null}
      <Confirm opened={isAsking} title={t("cancel.title")} action={t("cancel")} isDangerous isPending={cancel.isPending} error={cancel.error} onClose={() => setAsking(false)} onConfirm={() => cancel.mutate()}>
        {t("cancel.text")}
      </Confirm>
    </>
  );
}
