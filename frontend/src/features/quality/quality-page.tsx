import { Badge, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { isAtLeast, useProjectId, useRole } from "@/api/session";
import type { Quality } from "@/api/training-types";
import { EmptyState } from "@/components/empty-state";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { SyntheticMark } from "@/components/synthetic-mark";
import { decimal, percent, timeSpan, whole } from "@/lib/format";
import { useTexts } from "./texts";
import "./quality.css";

const MEASURES = ["strict", "half", "exact", "tau_b"] as const;

function Agreement({ agreement }: { agreement: NonNullable<Quality["agreement"]> }) {
  const { t, language } = useTexts();
  if (agreement.pairs === 0) return <Text c="dimmed" maw={640}>{t("agreement.none")}</Text>;
  return (
    <>
      <Text size="sm" c="dimmed" mb="md" maw={680}>{t("agreement.lead", { count: agreement.pairs })}</Text>
      <dl className="measures">
        {MEASURES.map((name) => (
          <div key={name} className="panel">
            <dt>{t(`agreement.${name}`)}</dt>
            <dd className="num">{name === "tau_b" ? decimal(agreement[name], language, 2) : percent(agreement[name], language)}</dd>
            <dd className="measure-help">{t(`agreement.${name}.help`)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Labelers({ rows }: { rows: Quality["by_labeler"] }) {
  const { t, language } = useTexts();
  return (
    <Table.ScrollContainer minWidth={320}>
      <Table aria-label={t("labelers")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("column.labeler")}</Table.Th>
            <Table.Th ta="right">{t("column.answers")}</Table.Th>
            <Table.Th ta="right">{t("column.skips")}</Table.Th>
            <Table.Th ta="right">{t("column.time")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={row.labeler}>
              <Table.Td>
                {row.labeler} {row.is_you ? <Badge color="gray">{t("you")}</Badge> : null} {row.is_synthetic ? <SyntheticMark /> : null}
              </Table.Td>
              <Table.Td ta="right">{whole(row.answers, language)}</Table.Td>
              <Table.Td ta="right">{whole(row.skips, language)}</Table.Td>
              <Table.Td ta="right">{row.median_seconds === null ? "–" : timeSpan(row.median_seconds, language)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

export function QualityPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const isReviewer = isAtLeast(useRole(), "reviewer");
  const quality = useQuery({
    queryKey: ["quality", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/quality/", { params: { path: { project_id: project } } })),
  });
  return (
    <Page title={t("quality.title")} subtitle={t(isReviewer ? "quality.lead" : "quality.lead.own")}>
      <QueryState query={quality}>
        {({ by_labeler, agreement }) =>
          by_labeler.length === 0 ? (
            <EmptyState icon="quality" title={t("none")}>{t("none.text")}</EmptyState>
          ) : (
            <Stack gap={32}>
              <section>
                <Title order={2} mb="xs">{t("labelers")}</Title>
                <Labelers rows={by_labeler} />
              </section>
              {agreement ? (
                <section>
                  <Title order={2} mb="xs">{t("agreement")}</Title>
                  <Agreement agreement={agreement} />
                </section>
              ) : null}
            </Stack>
          )
        }
      </QueryState>
    </Page>
  );
}
