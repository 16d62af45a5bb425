import { Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { api, body } from "@/api/client";
import { useProjectId } from "@/api/session";
import type { Version } from "@/api/types";
import { EmptyState } from "@/components/empty-state";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { StageBadge, useNames } from "@/components/state-badge";
import { SyntheticMark } from "@/components/synthetic-mark";
import { compact, decimal } from "@/lib/format";
import { dateTime } from "@/lib/time";
import { keyMetrics } from "./metrics";
import { usePart } from "./part";
import { useTexts } from "./texts";
import "./models.css";

function Row({ version, project }: { version: Version; project: string }) {
  const { t, language } = useTexts();
  const names = useNames();
  const part = usePart();
  return (
    <Table.Tr>
      <Table.Td>
        <Link to={`/p/${project}/models/${version.id}`} className="model-name">{version.name}</Link> {version.is_synthetic ? <SyntheticMark /> : null}
        <Text size="xs" c="dimmed" className="num">{version.parameters ? `${compact(version.parameters, language)} · ` : ""}{dateTime(version.created_at, language)}</Text>
      </Table.Td>
      <Table.Td>{names.versionKind(version.kind)}</Table.Td>
      <Table.Td><StageBadge stage={version.stage} /></Table.Td>
      <Table.Td>
        <div className="model-metrics num">{keyMetrics(version).map(([name, value]) => <span key={name}><i>{t(`key.${name}`)}</i> {decimal(value, language)}</span>)}</div>
      </Table.Td>
      <Table.Td>
        {version.parents.map((parent) => <div key={parent.id + parent.role} className="model-parent"><i>{part(parent.role)}</i> <Link to={`/p/${project}/models/${parent.id}`}>{parent.name}</Link></div>)}
      </Table.Td>
      <Table.Td className="model-by">
        {version.made_by ? <Link to={`/p/${project}/runs/${version.made_by}`}>{version.round ? t("round", { number: version.round }) : t("run")}</Link> : "–"}
      </Table.Td>
    </Table.Tr>
  );
}

export function ModelsPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const models = useQuery({
    queryKey: ["models", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/models/", { params: { path: { project_id: project } } })),
  });
  return (
    <Page title={t("models.title")} subtitle={t("models.lead")}>
      <QueryState query={models}>
        {(list) =>
          list.length === 0 ? (
            <EmptyState icon="models" title={t("models.none")}>{t("models.none.text")}</EmptyState>
          ) : (
            <Table.ScrollContainer minWidth={760}>
              <Table aria-label={t("models.title")}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{t("column.name")}</Table.Th>
                    <Table.Th>{t("column.kind")}</Table.Th>
                    <Table.Th>{t("column.stage")}</Table.Th>
                    <Table.Th>{t("column.metrics")}</Table.Th>
                    <Table.Th>{t("column.parents")}</Table.Th>
                    <Table.Th>{t("column.made-by")}</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>{list.map((version) => <Row key={version.id} version={version} project={project} />)}</Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </QueryState>
    </Page>
  );
}
