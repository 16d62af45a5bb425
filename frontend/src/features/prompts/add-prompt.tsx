import { Button, Modal, Stack, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { Split } from "@/api/training-types";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { guarded } from "@/components/guarded";
import { notify } from "@/components/notify";
import { useTexts } from "./texts";

export function AddPrompt({ project, onClose }: { project: string; onClose: () => void }) {
  const { t, sentences } = useTexts();
  const [prompt, setPrompt] = useState("");
  const [tags, setTags] = useState<string[]>([]);
  const [owner, setOwner] = useState("");
  const add = useMutation({
    mutationFn: () => body(api.POST("/api/v1/projects/{project_id}/prompts/", { params: { path: { project_id: project } }, body: { prompt, tags, owner_key: owner.trim() } })),
    onSuccess: (made) => {
      for (const key of ["prompts", "project"]) void queryClient.invalidateQueries({ queryKey: [key] });
      const kinds = made.pii.map((kind) => t(`pii.${kind}`)).join(t("comma"));
      const told = [
        t(made.is_new ? "add.done" : "add.here", { split: t(`split.${made.split satisfies Split}`) }),
        kinds ? t(made.split === "train" ? "add.flagged" : "add.flagged-measured", { kinds }) : "",
        made.like_prompt ? t("add.near") : "",
      ].filter(Boolean);
      notify(sentences(...told), { isError: told.length > 1 });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={t("add")} size="lg" {...guarded(prompt === "")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add.mutate();
        }}
      >
        <Stack gap="md">
          <Textarea label={t("prompt")} value={prompt} onChange={(e) => setPrompt(e.currentTarget.value)} autosize minRows={4} maxRows={16} required data-autofocus />
          <TagsInput label={t("tags")} value={tags} onChange={setTags} />
          <TextInput label={t("owner")} description={t("owner.help")} value={owner} onChange={(e) => setOwner(e.currentTarget.value)} maxLength={200} />
          {add.error ? <ErrorPanel error={add.error} /> : null}
          <DialogActions>
            <Button variant="default" onClick={onClose}>{t("cancel")}</Button>
            <Button type="submit" loading={add.isPending}>{t("add")}</Button>
          </DialogActions>
        </Stack>
      </form>
    </Modal>
  );
}
