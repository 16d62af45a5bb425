import { Button, Group, Switch, Text, Title } from "@mantine/core";
import { useState } from "react";
import type { MetricRow, Metrics, Run } from "@/api/training-types";
import { Curve } from "@/components/curve";
import { Icon } from "@/components/icons";
import { MetricCurve } from "@/components/metric-curve";
import { byDistance, groupsOf, KEY_METRICS, toCsv } from "@/lib/series";
import { useTexts } from "./texts";

const SMOOTH = 0.8;
const GROUPS = ["ppo", "rloo", "dpo", "bon", "reward", "sft", "pretrain", "perf"];

/** Save what the page already has; nothing is asked of the server. */
function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const inOrder = (groups: Map<string, string[]>) => [...groups.keys()].sort((a, b) => (GROUPS.indexOf(a) + 99) % 99 - ((GROUPS.indexOf(b) + 99) % 99));

/** Whether more distance still buys more score; a judge that turns down where the score rises says that the reward is gamed. */
function ByDistance({ rows, group }: { rows: MetricRow[]; group: string }) {
  const { t } = useTexts();
  const { x, lines } = byDistance(rows, group);
  if (x.length < 2 || lines.length === 0) return null;
  return (
    <section className="curve-section panel">
      <Title order={3}>{t("curves.distance")}</Title>
      <Text c="dimmed" size="sm" mb="sm" maw={640}>{t(lines.length > 1 ? "curves.distance.judged" : "curves.distance.help")}</Text>
      <Curve title={t("curves.distance.title")} x={x} xName={t("curves.distance.x")} lines={lines} height={240} />
    </section>
  );
}

/** Key numbers first, then every other one of each namespace. */
export function Curves({ run, metrics }: { run: Run; metrics: Metrics }) {
  const { t } = useTexts();
  const [isSmooth, setSmooth] = useState(false);
  const { rows, glossary } = metrics;
  const groups = groupsOf(rows);
  const known = new Set([...groups.values()].flat());
  const first = (KEY_METRICS[run.kind] ?? []).filter((name) => known.has(name));
  if (known.size === 0) return <Text c="dimmed">{t(run.kind === "score" ? "curves.score" : "curves.none")}</Text>;
  const curve = (name: string) => <MetricCurve key={name} name={name} rows={rows} glossary={glossary} weight={isSmooth ? SMOOTH : 0} />;
  return (
    <>
      <Group justify="space-between" mb="md">
        <Switch label={t("curves.smooth")} checked={isSmooth} onChange={(e) => setSmooth(e.currentTarget.checked)} />
        <Button variant="default" size="xs" leftSection={<Icon name="download" size={16} />} onClick={() => download(`run-${run.id}.csv`, toCsv(rows))}>{t("curves.csv")}</Button>
      </Group>
      {first.length > 0 ? (
        <section className="curve-section panel">
          <Title order={3}>{t("curves.key")}</Title>
          <div className="curve-grid">{first.map(curve)}</div>
        </section>
      ) : null}
      <ByDistance rows={rows} group={run.kind} />
      {inOrder(groups).map((group) => {
        const rest = (groups.get(group) ?? []).filter((name) => !first.includes(name));
        return rest.length === 0 ? null : (
          <details key={group} className="curve-section panel">
            <summary>{t("curves.group", { group, count: rest.length })}</summary>
            {group === "perf" && !known.has("perf/mfu") && !known.has("perf/mbu") ? <Text c="dimmed" size="sm" mb="sm">{t("curves.no-peak")}</Text> : null}
            <div className="curve-grid">{rest.map(curve)}</div>
          </details>
        );
      })}
    </>
  );
}
