import { Stack, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { api, body } from "@/api/client";
import { useProjectId } from "@/api/session";
import type { Version } from "@/api/types";
import { Facts } from "@/components/facts";
import { Markdown } from "@/components/markdown";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { StageBadge, useNames } from "@/components/state-badge";
import { SyntheticMark } from "@/components/synthetic-mark";
import { withoutFrontMatter } from "@/lib/card";
import { compact, decimal, whole } from "@/lib/format";
import { dateTime } from "@/lib/time";
import { LineageView } from "./lineage-view";
import { flat } from "./metrics";
import { usePart } from "./part";
import { PromoteButton } from "./promote-button";
import { RewardReport } from "./reward-report-view";
import { useTexts } from "./texts";
import "./models.css";

function Head({ version, project }: { version: Version; project: string }) {
  const { t, language } = useTexts();
  const names = useNames();
  const part = usePart();
  return (
    <section className="panel">
      <Facts
        facts={[
          { label: t("column.stage"), value: <StageBadge stage={version.stage} /> },
          { label: t("column.kind"), value: names.versionKind(version.kind) },
          { label: t("weights"), value: version.parameters ? compact(version.parameters, language) : "–" },
          { label: t("context"), value: version.context_tokens ? t("tokens", { count: whole(version.context_tokens, language) }) : "–" },
          { label: t("made"), value: dateTime(version.created_at, language) },
          version.made_by ? { label: t("column.made-by"), value: <Link to={`/p/${project}/runs/${version.made_by}`}>{version.round ? t("round", { number: version.round }) : t("run")}</Link> } : null,
          ...version.parents.map((parent) => ({ label: part(parent.role), value: <Link to={`/p/${project}/models/${parent.id}`}>{parent.name}</Link> })),
          version.digest ? { label: t("digest"), value: <span className="digest">{version.digest}</span> } : null,
        ]}
      />
    </section>
  );
}

function Numbers({ version }: { version: Version }) {
  const { t, language } = useTexts();
  const rows = flat(version.metrics);
  if (rows.length === 0) return <Text c="dimmed">{t("metrics.none")}</Text>;
  return (
    <dl className="model-numbers num">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt><code>{name}</code></dt>
          <dd>{typeof value === "number" ? decimal(value, language, 4) : String(value ?? "–")}</dd>
        </div>
      ))}
    </dl>
  );
}

function Body({ version, project }: { version: Version; project: string }) {
  const { t } = useTexts();
  return (
    <Stack gap="lg">
      <Head version={version} project={project} />
      <Tabs defaultValue="card" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="card">{t("tab.card")}</Tabs.Tab>
          <Tabs.Tab value="metrics">{t("tab.metrics")}</Tabs.Tab>
          {version.kind === "reward" && version.made_by ? <Tabs.Tab value="report">{t("tab.report")}</Tabs.Tab> : null}
          <Tabs.Tab value="lineage">{t("tab.lineage")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="card">{version.card ? <div className="model-card"><Markdown source={withoutFrontMatter(version.card)} /></div> : <Text c="dimmed">{t("card.none")}</Text>}</Tabs.Panel>
        <Tabs.Panel value="metrics"><Numbers version={version} /></Tabs.Panel>
        {version.kind === "reward" && version.made_by ? <Tabs.Panel value="report"><RewardReport run={version.made_by} /></Tabs.Panel> : null}
        <Tabs.Panel value="lineage"><LineageView version={version.id} project={project} /></Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

export function ModelPage() {
  const { t } = useTexts();
  const id = useParams()["model"] ?? "";
  const project = useProjectId();
  const model = useQuery({
    queryKey: ["model", id],
    queryFn: () => body(api.GET("/api/v1/models/{version_id}/", { params: { path: { version_id: id } } })),
  });
  return (
    <Page
      title={model.data?.name ?? t("model.title")}
      subtitle={model.data?.is_synthetic ? <SyntheticMark /> : undefined}
      actions={model.data ? <PromoteButton version={model.data} /> : null}
    >
      <QueryState query={model}>{(version) => <Body key={id} version={version} project={project} />}</QueryState>
    </Page>
  );
}
