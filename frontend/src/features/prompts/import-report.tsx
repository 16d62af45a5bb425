import { Alert, Table, Text } from "@mantine/core";
import type { ApiError } from "@/api/errors";
import type { ImportReport } from "@/api/training-types";
import { Facts } from "@/components/facts";
import { Icon } from "@/components/icons";
import { whole } from "@/lib/format";
import { ServerText } from "@/lib/server-text";
import rowsZh from "./locales/rows.zh-Hans.json";
import { useTexts } from "./texts";

interface BadRow {
  line: number;
  field: string;
  code: string;
  message: string;
  remedy: string;
}

/** What an import would do. */
export function Counts({ report }: { report: ImportReport }) {
  const { t, language } = useTexts();
  const number = (value: number) => whole(value, language);
  return (
    <Alert role="status" color={report.imported > 0 ? "petrol" : "yellow"} icon={<Icon name="check" />} title={t(report.imported > 0 ? "report.good" : "report.nothing")}>
      <Facts
        facts={[
          { label: t("report.imported"), value: number(report.imported) },
          { label: t("report.duplicates"), value: number(report.duplicates) },
          { label: t("report.demonstrations"), value: number(report.demonstrations) },
          { label: t("split.train"), value: number(report.splits.train) },
          { label: t("split.valid"), value: number(report.splits.valid) },
          { label: t("split.heldout"), value: number(report.splits.heldout) },
        ]}
      />
    </Alert>
  );
}

/** Rows that stand in the way, with what to do about each. */
export function BadRows({ error }: { error: ApiError }) {
  const { t, language } = useTexts();
  const rows = (error.extra["errors"] ?? []) as BadRow[];
  const count = Number(error.extra["error_count"] ?? rows.length);
  return (
    <Alert color="red" icon={<Icon name="warning" />} title={t("report.bad", { count })} role="alert">
      <Text size="sm" mb="sm">{t("report.nothing-written")}</Text>
      <div className="bad-rows" tabIndex={0} role="region" aria-label={t("report.bad", { count })}>
        <Table stickyHeader>
          <Table.Thead>
            <Table.Tr>
              <Table.Th ta="right">{t("report.line")}</Table.Th>
              <Table.Th>{t("report.field")}</Table.Th>
              <Table.Th>{t("report.problem")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((row, index) => (
              <Table.Tr key={index}>
                <Table.Td ta="right" className="num">{whole(row.line, language)}</Table.Td>
                <Table.Td>{row.field ? <code>{row.field}</code> : "–"}</Table.Td>
                <Table.Td><ServerText code={row.code} table={rowsZh}>{row.message} <b>{row.remedy}</b></ServerText></Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {count > rows.length ? <Text size="sm" mt="xs">{t("report.more", { count: count - rows.length })}</Text> : null}
    </Alert>
  );
}
