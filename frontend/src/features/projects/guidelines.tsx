import { Button, Group, Textarea, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient } from "@/api/session";
import type { ProjectDetail } from "@/api/types";
import { ErrorPanel } from "@/components/error-panel";
import { Markdown } from "@/components/markdown";
import { useTexts } from "./texts";

function Editor({ project, onClose }: { project: ProjectDetail; onClose: () => void }) {
  const { t } = useTexts();
  const [text, setText] = useState(project.guidelines);
  const save = useMutation({
    mutationFn: () => body(api.PATCH("/api/v1/projects/{project_id}/", { params: { path: { project_id: project.id } }, body: { guidelines: text } })),
    onSuccess: (changed) => {
      queryClient.setQueryData(["project", project.id], changed);
      onClose();
    },
  });
  return (
    <>
      <Textarea aria-label={t("guidelines")} description={t("guidelines.help")} value={text} onChange={(e) => setText(e.currentTarget.value)} autosize minRows={6} maxRows={24} autoFocus />
      {save.error ? <ErrorPanel error={save.error} /> : null}
      <Group justify="flex-end" mt="sm">
        <Button variant="default" onClick={onClose}>{t("cancel")}</Button>
        <Button onClick={() => save.mutate()} loading={save.isPending} disabled={text === project.guidelines}>{t("guidelines.save")}</Button>
      </Group>
    </>
  );
}

/** What labelers should heed; admins edit it here, and every change is a version. */
export function Guidelines({ project }: { project: ProjectDetail }) {
  const { t } = useTexts();
  const [isEditing, setEditing] = useState(false);
  const isAdmin = project.role === "admin";
  if (!project.guidelines && !isAdmin) return null;
  return (
    <section className="panel">
      <Group justify="space-between" mb="xs">
        <Title order={2}>{t("guidelines")}</Title>
        {isAdmin && !isEditing ? <Button size="xs" variant="default" onClick={() => setEditing(true)}>{t(project.guidelines ? "guidelines.edit" : "guidelines.write")}</Button> : null}
      </Group>
      {isEditing ? <Editor project={project} onClose={() => setEditing(false)} /> : project.guidelines ? <div className="guidelines-text"><Markdown source={project.guidelines} /></div> : <span className="dim">{t("guidelines.none")}</span>}
    </section>
  );
}
