import { Alert, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { api, body } from "@/api/client";
import { useProjectId, useRole } from "@/api/session";
import { Curve } from "@/components/curve";
import { Facts } from "@/components/facts";
import { Icon } from "@/components/icons";
import { QueryState } from "@/components/query-state";
import { decimal, percent, whole } from "@/lib/format";
import { ignoresPrompts, reportOf, type Group, type Measured, type Report } from "./reward-report";
import { useTexts } from "./texts";

interface Line extends Omit<Measured, "error"> {
  key: string;
  name: ReactNode;
  error?: number | null;
  agreement?: number | null;
}

function Accuracies({ by, rows }: { by: string; rows: Line[] }) {
  const { t, language } = useTexts();
  const error = (value: number | null | undefined) => (typeof value === "number" ? ` ± ${decimal(100 * value, language, 2)}` : "");
  const hasAgreement = rows.some((row) => typeof row.agreement === "number");
  return (
    <Table aria-label={by} maw={560}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{by}</Table.Th>
          <Table.Th ta="right">{t("report.accuracy")}</Table.Th>
          {hasAgreement ? <Table.Th ta="right">{t("report.labeler_agreement")}</Table.Th> : null}
          <Table.Th ta="right">{t("report.pairs")}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={row.key}>
            <Table.Td>{row.name}</Table.Td>
            <Table.Td ta="right">{percent(row.accuracy, language)}{error(row.error)}</Table.Td>
            {hasAgreement ? <Table.Td ta="right">{typeof row.agreement === "number" ? percent(row.agreement, language) : "–"}</Table.Td> : null}
            <Table.Td ta="right">{whole(row.pairs, language)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** Versions by the names that the server has for their ids; a report's own words are never shown as a name. */
function Sources({ rows }: { rows: Report["sources"] }) {
  const { t } = useTexts();
  const project = useProjectId();
  const models = useQuery({
    queryKey: ["models", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/models/", { params: { path: { project_id: project } } })),
  });
  const nameOf = (version: string | null) => {
    if (version === null) return t("report.source.mixed");
    const known = models.data?.find(({ id }) => id === version);
    return known ? <Link to={`/p/${project}/models/${known.id}`}>{known.name}</Link> : t("report.source.unknown");
  };
  return (
    <div>
      <Accuracies by={t("report.by.source")} rows={rows.map((row) => ({ ...row, key: row.version ?? "", name: nameOf(row.version) }))} />
      <Text size="sm" c="dimmed" maw={640}>{t("report.source.help")}</Text>
    </div>
  );
}

/** Labelers by name where the viewer is told names (admins), else as the report has them. */
function Labelers({ rows }: { rows: Group[] }) {
  const { t } = useTexts();
  const project = useProjectId();
  const quality = useQuery({
    queryKey: ["quality", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/quality/", { params: { path: { project_id: project } } })),
  });
  const nameOf = (pseudonym: string) => quality.data?.by_labeler.find((one) => one.pseudonym === pseudonym)?.labeler ?? pseudonym;
  return <Accuracies by={t("report.by.labeler")} rows={rows.map((row) => ({ ...row, key: row.name, name: nameOf(row.name) }))} />;
}

function Whom({ own, others }: Pick<Report, "own" | "others">) {
  const { t, language } = useTexts();
  const project = useProjectId();
  const isAdmin = useRole() === "admin";
  const rows = [
    ...(own ? [{ ...own, key: "own", name: t("report.whom.own") }] : []),
    ...(others ? [{ ...others, key: "others", name: t("report.whom.others", { count: others.labelers }) }] : []),
  ];
  return (
    <div>
      <Accuracies by={t("report.whom")} rows={rows} />
      <Text size="sm" c="dimmed" maw={640}>
        {t(others ? "report.whom.help" : "report.whom.none")}{language === "en" ? " " : null}{others || !isAdmin ? null : <Link to={`/p/${project}/members`}>{t("report.whom.members")}</Link>}
      </Text>
    </div>
  );
}

function Shown({ report }: { report: Report }) {
  const { t, language } = useTexts();
  const shown = (name: string, value: number) =>
    name.endsWith("pairs") ? whole(value, language) : name === "ece" || name === "kendall_tau" ? decimal(value, language, 3) : percent(value, language);
  return (
    <Stack gap="lg">
      {ignoresPrompts(report) ? (
        <Alert color="yellow" variant="light" icon={<Icon name="warning" />} title={t("report.blind.title")} maw={720}>{t("report.blind.help")}</Alert>
      ) : null}
      <Facts facts={report.facts.map(({ name, value }) => ({ label: t(`report.${name}`), value: shown(name, value), help: t(`report.${name}.help`) }))} />
      <div>
        <Curve
          title={t("report.reliability")}
          x={report.stated}
          xName={t("report.stated")}
          lines={[{ name: t("report.right"), values: report.right }, { name: t("report.ideal"), values: report.stated }]}
        />
        <Text size="sm" c="dimmed">{t("report.reliability.help")}</Text>
      </div>
      <Whom own={report.own} others={report.others} />
      {report.sources.length > 0 ? <Sources rows={report.sources} /> : null}
      {report.groups.map(({ by, rows }) =>
        by === "labeler" ? <Labelers key={by} rows={rows} /> : <Accuracies key={by} by={t(`report.by.${by}`)} rows={rows.map((row) => ({ ...row, key: row.name }))} />,
      )}
    </Stack>
  );
}

/** How good a reward model is, from the result of the run that made it. */
export function RewardReport({ run }: { run: string }) {
  const { t } = useTexts();
  const made = useQuery({ queryKey: ["run", run], queryFn: () => body(api.GET("/api/v1/runs/{run_id}/", { params: { path: { run_id: run } } })) });
  return (
    <QueryState query={made}>
      {({ result }) => {
        const report = reportOf(result);
        return report ? <Shown report={report} /> : <Text c="dimmed">{t("report.none")}</Text>;
      }}
    </QueryState>
  );
}
