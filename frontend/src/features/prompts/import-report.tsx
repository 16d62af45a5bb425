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
  const { t, sentences, language } = useTexts();
  const number = (value: number) => whole(value, language);
  return (
    <Alert role="status" color={report.imported > 0 ? "petrol" : "yellow"} icon={<Icon name="check" />} title={t(report.imported > 0 ? "report.good" : "report.nothing")}>
      <Facts
        facts={[
          { label: t("report.imported"), value: number(report.imported) },
          { label: t("report.duplicates"), value: number(report.duplicates) },
          report.near_duplicates ? { label: t("report.near"), help: t("import.near.help"), value: number(report.near_duplicates) } : null,
          report.over_owner_cap ? { label: t("report.cap"), value: number(report.over_owner_cap) } : null,
          report.flagged ? { label: t("report.pii"), help: t("pii.help"), value: number(report.flagged) } : null,
          { label: t("report.demonstrations"), value: number(report.demonstrations) },
          { label: t("split.train"), value: number(report.splits.train) },
          { label: t("split.valid"), value: number(report.splits.valid) },
          { label: t("split.heldout"), value: number(report.splits.heldout) },
        ]}
      />
      {report.flagged ? <Text size="sm" mt="sm">{sentences(t("pii.help"), t("pii.limits"))}</Text> : null}
      {report.imported > 0 && report.splits.valid + report.splits.heldout === 0 ? <Text size="sm" mt="sm">{t("report.unmeasured")}</Text> : null}
      {report.notes.length > 0 ? <Notes report={report} /> : null}
    </Alert>
  );
}

/** The first rows that were left out or flagged: where, and why; never what they say. */
function Notes({ report }: { report: ImportReport }) {
  const { t, language } = useTexts();
  const why = ({ reason, kinds, like_line }: ImportReport["notes"][number]) => {
    if (reason === "pii") return kinds.map((kind) => t(`pii.${kind}`)).join(t("comma"));
    if (reason === "owner_cap") return t("report.cap");
    return like_line === null ? t("report.like-prompt") : t("report.like-line", { line: whole(like_line, language) });
  };
  const rest = report.near_duplicates + report.over_owner_cap + report.flagged - report.notes.length;
  return (
    <details className="import-notes">
      <summary>{t("report.notes")}</summary>
      <div className="bad-rows" tabIndex={0} role="region" aria-label={t("report.notes")}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th ta="right">{t("report.line")}</Table.Th>
              <Table.Th>{t("report.why")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {report.notes.map((note) => (
              <Table.Tr key={note.line}>
                <Table.Td ta="right" className="num">{whole(note.line, language)}</Table.Td>
                <Table.Td>{why(note)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {rest > 0 ? <Text size="sm" mt="xs">{t("report.more", { count: rest })}</Text> : null}
    </details>
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
