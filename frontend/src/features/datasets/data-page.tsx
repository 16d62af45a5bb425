import { Alert, Button, Menu, Stack } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useLocation } from "react-router";
import { api, body } from "@/api/client";
import { queryClient, useProjectId, useRole } from "@/api/session";
import type { SnapshotKind } from "@/api/training-types";
import { EmptyState } from "@/components/empty-state";
import { ErrorPanel } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import { notify } from "@/components/notify";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { countsOf } from "./exports";
import { SnapshotCard } from "./snapshot-card";
import { useTexts } from "./texts";
import "./datasets.css";

const KINDS: SnapshotKind[] = ["rankings", "sft", "prompts"];

function useSnapshots(project: string) {
  return useQuery({
    queryKey: ["snapshots", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/snapshots/", { params: { path: { project_id: project } } })),
  });
}

function useFreeze(project: string) {
  const { t } = useTexts();
  return useMutation({
    mutationFn: (kind: SnapshotKind) => body(api.POST("/api/v1/projects/{project_id}/snapshots/", { params: { path: { project_id: project } }, body: { kind } })),
    onSuccess: async ({ id, counts }) => {
      const known = queryClient.getQueryData<{ id: string }[]>(["snapshots", project])?.some((one) => one.id === id);
      await queryClient.invalidateQueries({ queryKey: ["snapshots", project] });
      const isEmpty = countsOf(counts).total === 0;
      notify(t(isEmpty ? "frozen.empty" : known ? "frozen.same" : "frozen"), { isError: isEmpty });
    },
  });
}

export function DataPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const isAdmin = useRole() === "admin";
  const asked = useLocation().hash.slice(1);
  const snapshots = useSnapshots(project);
  const freeze = useFreeze(project);
  const button = isAdmin ? (
    <Menu position="bottom-end" width={260}>
      <Menu.Target>
        <Button leftSection={<Icon name="plus" size={16} />} loading={freeze.isPending}>{t("new")}</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {KINDS.map((kind) => <Menu.Item key={kind} onClick={() => freeze.mutate(kind)}>{t(`kind.${kind}`)}</Menu.Item>)}
      </Menu.Dropdown>
    </Menu>
  ) : null;
  return (
    <Page title={t("data.title")} subtitle={t("data.lead")} actions={button}>
      {freeze.error ? <ErrorPanel error={freeze.error} /> : null}
      <QueryState query={snapshots}>
        {(list) =>
          list.length === 0 ? (
            <EmptyState icon="data" title={t("data.none")} action={button}>{t("data.none.text")}</EmptyState>
          ) : (
            <Stack gap="md">
              <Alert role="note" icon={<Icon name="help" />} variant="light">{t("data.script")}</Alert>
              {list.map((snapshot, index) => <SnapshotCard key={snapshot.id} snapshot={snapshot} isOpen={asked ? snapshot.id === asked : index === 0} />)}
            </Stack>
          )
        }
      </QueryState>
    </Page>
  );
}
