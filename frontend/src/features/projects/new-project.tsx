import { Button, Modal, Radio, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { BaseModel } from "@/api/types";
import { DialogActions } from "@/components/dialog-actions";
import { ErrorPanel } from "@/components/error-panel";
import { guarded } from "@/components/guarded";
import { Markdown } from "@/components/markdown";
import { QueryState } from "@/components/query-state";
import { withoutFrontMatter } from "@/lib/card";
import { compact, whole } from "@/lib/format";
import { useTexts } from "./texts";

function BaseChoice({ model }: { model: BaseModel }) {
  const { t, language } = useTexts();
  const facts = t("base.facts", { weights: compact(model.parameters, language), context: whole(model.context_tokens, language) });
  return (
    <div className="base-choice">
      <Radio value={model.name} label={<b>{model.name}</b>} description={facts} />
      {model.card ? (
        <details className="base-card">
          <summary>{t("base.card")}</summary>
          <Markdown source={withoutFrontMatter(model.card)} />
        </details>
      ) : null}
    </div>
  );
}

/** The dialog that opens a project: a name, the model it begins with, what labelers should heed. */
export function NewProject({ onClose }: { onClose: () => void }) {
  const { t } = useTexts();
  const navigate = useNavigate();
  const [wish, setWish] = useState({ name: "", description: "", guidelines: "", base_model: "" });
  const set = (change: Partial<typeof wish>) => setWish((old) => ({ ...old, ...change }));
  const bases = useQuery({ queryKey: ["base-models"], queryFn: () => body(api.GET("/api/v1/base-models/")) });
  const chosen = wish.base_model || (bases.data?.[0]?.name ?? "");
  const create = useMutation({
    mutationFn: () => body(api.POST("/api/v1/projects/", { body: { ...wish, name: wish.name.trim(), base_model: chosen } })),
    onSuccess: async (project) => {
      await Promise.all([queryClient.invalidateQueries({ queryKey: ["me"] }), queryClient.invalidateQueries({ queryKey: ["projects"] })]);
      void navigate(`/p/${project.id}`);
    },
  });
  return (
    <Modal opened onClose={onClose} title={t("new")} size="lg" {...guarded(wish.name === "")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="md">
          <TextInput label={t("new.name")} value={wish.name} onChange={(e) => set({ name: e.currentTarget.value })} required pattern=".*\S.*" maxLength={120} data-autofocus />
          <Textarea label={t("new.description")} value={wish.description} onChange={(e) => set({ description: e.currentTarget.value })} maxLength={4000} autosize minRows={2} />
          <QueryState query={bases}>
            {(list) =>
              list.length === 0 ? (
                <Text size="sm">{t("base.none")}</Text>
              ) : (
                <Radio.Group label={t("new.base")} description={t("new.base.help")} value={chosen} onChange={(base_model) => set({ base_model })}>
                  <Stack gap="sm" mt="xs">{list.map((model) => <BaseChoice key={model.name} model={model} />)}</Stack>
                </Radio.Group>
              )
            }
          </QueryState>
          <Textarea label={t("guidelines")} description={t("guidelines.help")} value={wish.guidelines} onChange={(e) => set({ guidelines: e.currentTarget.value })} autosize minRows={4} maxRows={14} />
          {create.error ? <ErrorPanel error={create.error} /> : null}
          <DialogActions>
            <Button variant="default" onClick={onClose}>{t("cancel")}</Button>
            <Button type="submit" loading={create.isPending} disabled={chosen === ""}>{t("new.create")}</Button>
          </DialogActions>
        </Stack>
      </form>
    </Modal>
  );
}
