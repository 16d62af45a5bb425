import { Badge, Table, Text, Title } from "@mantine/core";
import type { Run } from "@/api/training-types";
import { timeSpan } from "@/lib/format";
import { dateTime } from "@/lib/time";
import { useTexts } from "./texts";

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** [["versions.torch", "2.13.0"], ...]: an object's settings with what is nested named by dots, in the order of the alphabet. */
function flat(values: Record<string, unknown>, before = ""): [string, unknown][] {
  const rows = Object.entries(values).flatMap(([name, value]): [string, unknown][] => (isObject(value) ? flat(value, `${before}${name}.`) : [[before + name, value]]));
  return rows.sort(([a], [b]) => (a < b ? -1 : 1));
}

function Values({ values }: { values: Record<string, unknown> }) {
  return (
    <Table className="run-values" layout="auto">
      <Table.Tbody>
        {flat(values).map(([name, value]) => (
          <Table.Tr key={name}>
            <Table.Th scope="row"><code>{name}</code></Table.Th>
            <Table.Td className="digest">{typeof value === "string" ? value : JSON.stringify(value)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

export function Settings({ run }: { run: Run }) {
  const { t } = useTexts();
  return (
    <div className="run-columns">
      <section>
        <Title order={3} mb="xs">{t("settings.config")}</Title>
        <Values values={run.config} />
      </section>
      <section>
        <Title order={3} mb="xs">{t("settings.result")}</Title>
        {Object.keys(run.result).length > 0 ? <Values values={run.result} /> : <Text c="dimmed" size="sm">{t("settings.no-result")}</Text>}
      </section>
    </div>
  );
}

export function Attempts({ run }: { run: Run }) {
  const { t, language } = useTexts();
  if (run.attempts.length === 0) return <Text c="dimmed">{t("attempts.none")}</Text>;
  return (
    <Table.ScrollContainer minWidth={560}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("attempts.number")}</Table.Th>
            <Table.Th>{t("attempts.state")}</Table.Th>
            <Table.Th>{t("attempts.began")}</Table.Th>
            <Table.Th>{t("attempts.took")}</Table.Th>
            <Table.Th>{t("attempts.from")}</Table.Th>
            <Table.Th>{t("attempts.reason")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {run.attempts.map((attempt) => (
            <Table.Tr key={attempt.fence}>
              <Table.Td>{attempt.fence}</Table.Td>
              <Table.Td><Badge color={attempt.state === "failed" || attempt.state === "lost" ? "red" : "gray"}>{t(`attempt.${attempt.state}`)}</Badge></Table.Td>
              <Table.Td>{dateTime(attempt.started_at, language)}</Table.Td>
              <Table.Td>{attempt.ended_at ? timeSpan((Date.parse(attempt.ended_at) - Date.parse(attempt.started_at)) / 1000, language) : "–"}</Table.Td>
              <Table.Td>{attempt.resumed_from || t("attempts.start")}</Table.Td>
              <Table.Td><span lang="en">{attempt.reason || "–"}</span></Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
