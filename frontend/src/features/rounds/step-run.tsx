import { Button, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { useRun } from "@/api/live";
import type { Metrics, Run } from "@/api/training-types";
import { Facts } from "@/components/facts";
import { MetricCurve } from "@/components/metric-curve";
import { QueryState } from "@/components/query-state";
import { RunStateBadge, useNames } from "@/components/state-badge";
import { SamplesTable } from "@/components/samples-table";
import { whole } from "@/lib/format";
import { KEY_METRICS, seriesOf } from "@/lib/series";
import { useTexts } from "./texts";

function KeyCurves({ run, metrics }: { run: Run; metrics: Metrics }) {
  const names = (KEY_METRICS[run.kind] ?? []).filter((name) => seriesOf(metrics.rows, name).x.length > 0);
  if (names.length === 0) return null;
  return (
    <div className="curve-grid">
      {names.map((name) => <MetricCurve key={name} name={name} rows={metrics.rows} glossary={metrics.glossary} height={150} />)}
    </div>
  );
}

/** The run of a step: its state, its key curves as they grow, what the model says. */
export function StepRun({ id, project }: { id: string; project: string }) {
  const { t, language } = useTexts();
  const names = useNames();
  const { run, metrics, samples } = useRun(id);
  return (
    <QueryState query={run}>
      {(data) => (
        <>
          <Facts
            facts={[
              { label: t("run.state"), value: <RunStateBadge run={data} /> },
              { label: t("run.step"), value: whole(data.step, language) },
              data.produced ? { label: t("run.produced"), value: <Link to={`/p/${project}/models/${data.produced.id}`}>{data.produced.name}</Link> } : null,
              data.stopped ? { label: t("run.stopped"), value: names.stopped(data.stopped) } : null,
              { label: t("run.all"), value: <Button component={Link} to={`/p/${project}/runs/${id}`} size="compact-sm" variant="default">{t("run.open")}</Button> },
            ]}
          />
          {data.ahead === null ? null : <Text size="sm" c="dimmed" role="status">{names.ahead(data.ahead)}</Text>}
          {metrics.data ? <KeyCurves run={data} metrics={metrics.data} /> : null}
          {samples.data && samples.data.length > 0 ? (
            <section>
              <Title order={3} mb="xs">{t("samples")}</Title>
              <SamplesTable samples={samples.data} limit={4} />
            </section>
          ) : null}
        </>
      )}
    </QueryState>
  );
}
