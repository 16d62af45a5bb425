import { Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { Curve } from "@/components/curve";
import { Facts } from "@/components/facts";
import { QueryState } from "@/components/query-state";
import { decimal, percent, whole } from "@/lib/format";
import { reportOf, type Report } from "./reward-report";
import { useTexts } from "./texts";

function Groups({ by, rows }: Report["groups"][number]) {
  const { t, language } = useTexts();
  return (
    <Table aria-label={t(`report.by.${by}`)} maw={480}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t(`report.by.${by}`)}</Table.Th>
          <Table.Th ta="right">{t("report.accuracy")}</Table.Th>
          <Table.Th ta="right">{t("report.pairs")}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={row.name}>
            <Table.Td>{row.name}</Table.Td>
            <Table.Td ta="right">{percent(row.accuracy, language)}</Table.Td>
            <Table.Td ta="right">{whole(row.pairs, language)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Shown({ report }: { report: Report }) {
  const { t, language } = useTexts();
  const shown = (name: string, value: number) =>
    name === "pairs" ? whole(value, language) : name === "ece" || name === "kendall_tau" ? decimal(value, language, 3) : percent(value, language);
  return (
    <Stack gap="lg">
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
      {report.groups.map((group) => <Groups key={group.by} {...group} />)}
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
