import { Alert, Stack, Tabs, Text } from "@mantine/core";
import { Link, useParams } from "react-router";
import { isRunEnded, useRun } from "@/api/live";
import { useProjectId, useRole } from "@/api/session";
import type { Run } from "@/api/training-types";
import { Facts } from "@/components/facts";
import { Icon } from "@/components/icons";
import { Page } from "@/components/page";
import { ProgressLine } from "@/components/progress-line";
import { QueryState } from "@/components/query-state";
import { SamplesTable } from "@/components/samples-table";
import { RunStateBadge, useNames } from "@/components/state-badge";
import { timeSpan, whole } from "@/lib/format";
import { dateTime, serverNow } from "@/lib/time";
import { Curves } from "./curves";
import { Attempts, Settings } from "./details";
import { Log } from "./log";
import { RunActions } from "./run-actions";
import { useTexts } from "./texts";
import "./runs.css";

function Trouble({ run }: { run: Run }) {
  const { t } = useTexts();
  if (!run.error || run.state === "succeeded") return null;
  return (
    <Alert color="red" icon={<Icon name="warning" />} title={t("error.title")} role="alert">
      <Text size="sm" lang="en">{run.error.message} {run.error.message.includes(run.error.remedy) ? null : <b>{run.error.remedy}</b>}</Text>
      <Text size="xs" c="dimmed" mt={4}><code>{run.error.code}</code></Text>
    </Alert>
  );
}

function Head({ run, project }: { run: Run; project: string }) {
  const { t, language } = useTexts();
  const names = useNames();
  const version = (name: "model" | "reference" | "reward" | "judge" | "produced" | "produced_raw") => {
    const ref = run[name];
    return ref ? { label: t(`head.${name}`), value: <Link to={`/p/${project}/models/${ref.id}`}>{ref.name}</Link> } : null;
  };
  const moving = run.ahead === null ? t("progress.step", { share: Math.round(run.progress * 100), step: whole(run.step, language) }) : names.ahead(run.ahead);
  const left = run.cancel_requested ? t("cancelling") : moving;
  const seconds = run.started_at ? ((run.ended_at ? Date.parse(run.ended_at) : serverNow()) - Date.parse(run.started_at)) / 1000 : null;
  return (
    <section className="panel">
      <Stack gap="md">
        <Facts
          facts={[
            { label: t("head.state"), value: <RunStateBadge run={run} /> },
            version("produced"),
            version("produced_raw"),
            run.stopped ? { label: t("head.stopped"), value: names.stopped(run.stopped) } : null,
            { label: t("head.began"), value: run.started_at ? dateTime(run.started_at, language) : "–" },
            { label: t("head.took"), value: seconds === null ? "–" : timeSpan(seconds, language) },
            version("model"),
            version("reference"),
            version("reward"),
            version("judge"),
            run.snapshot ? { label: t("head.snapshot"), value: <Link to={`/p/${project}/data#${run.snapshot.id}`}>{t("head.snapshot.rows", { count: trainRows(run.snapshot.counts) })}</Link> } : null,
            { label: t("head.seed"), value: String(run.seed) },
          ]}
        />
        {isRunEnded(run.state) ? null : (
          <ProgressLine
            done={run.progress * 100}
            wanted={100}
            name={t("progress")}
            left={left}
            right={run.eta_seconds ? t("eta", { time: timeSpan(run.eta_seconds, language) }) : undefined}
          />
        )}
      </Stack>
    </section>
  );
}

/** Held-out rows are in the snapshot, and no trainer is given them. */
const trainRows = (counts: Record<string, unknown>) => Number((counts["rows"] as { train?: number } | undefined)?.train ?? 0);

type Live = ReturnType<typeof useRun>;

function Body({ project, run, metrics, samples }: { project: string; run: Run } & Pick<Live, "metrics" | "samples">) {
  const { t } = useTexts();
  const isAdmin = useRole() === "admin";
  return (
    <Stack gap="lg">
      <Trouble run={run} />
      <Head run={run} project={project} />
      <Tabs defaultValue="curves" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="curves">{t("tab.curves")}</Tabs.Tab>
          <Tabs.Tab value="samples">{t("tab.samples")}</Tabs.Tab>
          <Tabs.Tab value="settings">{t("tab.settings")}</Tabs.Tab>
          <Tabs.Tab value="attempts">{t("tab.attempts", { count: run.attempts.length })}</Tabs.Tab>
          {isAdmin ? <Tabs.Tab value="log">{t("tab.log")}</Tabs.Tab> : null}
        </Tabs.List>
        <Tabs.Panel value="curves"><QueryState query={metrics}>{(data) => <Curves run={run} metrics={data} />}</QueryState></Tabs.Panel>
        <Tabs.Panel value="samples"><QueryState query={samples}>{(data) => <SamplesTable samples={data} limit={40} />}</QueryState></Tabs.Panel>
        <Tabs.Panel value="settings"><Settings run={run} /></Tabs.Panel>
        <Tabs.Panel value="attempts"><Attempts run={run} /></Tabs.Panel>
        {isAdmin ? <Tabs.Panel value="log"><Log id={run.id} isLive={!isRunEnded(run.state)} /></Tabs.Panel> : null}
      </Tabs>
    </Stack>
  );
}

export function RunPage() {
  const { t } = useTexts();
  const names = useNames();
  const id = useParams()["run"] ?? "";
  const project = useProjectId();
  const { run, metrics, samples } = useRun(id);
  const data = run.data;
  const round = data?.round;
  return (
    <Page
      title={data ? names.runKind(data.kind) : t("run.title")}
      subtitle={round ? <Link to={`/p/${project}/rounds/${round.id}`}>{t("round", { number: round.number })}</Link> : undefined}
      actions={data ? <RunActions run={data} /> : null}
    >
      <QueryState query={run}>{(found) => <Body key={id} project={project} run={found} metrics={metrics} samples={samples} />}</QueryState>
    </Page>
  );
}
