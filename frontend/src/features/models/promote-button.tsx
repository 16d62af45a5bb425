import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient, useRole } from "@/api/session";
import type { Version } from "@/api/types";
import { Confirm } from "@/components/confirm";
import { notify } from "@/components/notify";
import { useTexts } from "./texts";

const WRITES = new Set<Version["kind"]>(["base", "sft", "policy"]);

/** Make any version that writes text the policy: also the way back to an earlier one. */
export function PromoteButton({ version }: { version: Version }) {
  const { t } = useTexts();
  const role = useRole();
  const [isAsking, setAsking] = useState(false);
  const promote = useMutation({
    mutationFn: (note: string) => body(api.POST("/api/v1/models/{version_id}/promote/", { params: { path: { version_id: version.id } }, body: { note } })),
    onSuccess: (changed) => {
      queryClient.setQueryData(["model", version.id], changed);
      for (const name of ["models", "model", "project", "projects", "round", "rounds"]) void queryClient.invalidateQueries({ queryKey: [name] });
      notify(t("promoted", { name: changed.name }));
      setAsking(false);
    },
  });
  const isPossible = WRITES.has(version.kind) && (version.stage === "ready" || version.stage === "retired");
  if (role !== "admin" || !isPossible) return null;
  return (
    <>
      <Button onClick={() => setAsking(true)}>{t("promote")}</Button>
      <Confirm opened={isAsking} title={t("promote.title", { name: version.name })} action={t("promote")} note={t("note")} isPending={promote.isPending} error={promote.error} onClose={() => setAsking(false)} onConfirm={(note) => promote.mutate(note)}>
        {t("promote.text")}
      </Confirm>
    </>
  );
}
