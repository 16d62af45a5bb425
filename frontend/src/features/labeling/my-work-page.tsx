import { Badge, Button, Table, Text } from "@mantine/core";
import { Link } from "react-router";
import { useProjectId } from "@/api/session";
import type { AssignmentSummary } from "@/api/types";
import { EmptyState } from "@/components/empty-state";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { RawText } from "@/components/raw-text";
import { dateTime } from "@/lib/time";
import { useMyWork } from "./my-work";
import { useTexts } from "./texts";
import "./labeling.css";

const lastQuestion = (row: AssignmentSummary) => row.prompt.messages.findLast(({ role }) => role === "user")?.content ?? "";

function RowState({ row }: { row: AssignmentSummary }) {
  const { t } = useTexts();
  const revision = row.answer?.revision ?? 1;
  const isLate = row.state === "late";
  return (
    <>
      {row.state === "submitted" ? null : <Badge color={isLate ? "yellow" : "gray"} variant="outline">{t(isLate ? "state.late" : "state.skipped")}</Badge>}
      {revision > 1 ? <Text size="xs" c="dimmed" className="num">{t("revision", { count: revision })}</Text> : null}
    </>
  );
}

function Row({ row, project }: { row: AssignmentSummary; project: string }) {
  const { t, language } = useTexts();
  return (
    <Table.Tr>
      <Table.Td><Badge color="gray">{t(`kind.${row.kind}`)}</Badge></Table.Td>
      <Table.Td className="work-prompt"><RawText inline text={lastQuestion(row).slice(0, 200)} /></Table.Td>
      <Table.Td><RowState row={row} /></Table.Td>
      <Table.Td className="num work-when">{dateTime(row.answer?.submitted_at ?? row.ended_at ?? row.created_at, language)}</Table.Td>
      <Table.Td ta="right">
        {row.answer ? (
          <Button size="compact-sm" variant={row.editable ? "light" : "subtle"} color={row.editable ? undefined : "gray"} component={Link} to={`/p/${project}/my-work/${row.id}`}>
            {t(row.editable ? "my-work.correct" : "my-work.read")}
          </Button>
        ) : null}
      </Table.Td>
    </Table.Tr>
  );
}

export function MyWorkPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const work = useMyWork(project);
  return (
    <Page title={t("my-work.title")} subtitle={t("my-work.lead")} actions={<Button component={Link} to={`/p/${project}/label`}>{t("my-work.go-on")}</Button>}>
      <QueryState query={work}>
        {(rows) =>
          rows.length === 0 ? (
            <EmptyState icon="history" title={t("my-work.none")}>{t("my-work.none.text")}</EmptyState>
          ) : (
            <Table className="work-table">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t("my-work.kind")}</Table.Th>
                  <Table.Th>{t("my-work.prompt")}</Table.Th>
                  <Table.Th aria-label={t("my-work.state")} />
                  <Table.Th>{t("my-work.when")}</Table.Th>
                  <Table.Th aria-label={t("my-work.open")} />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>{rows.map((row) => <Row key={row.id} row={row} project={project} />)}</Table.Tbody>
            </Table>
          )
        }
      </QueryState>
    </Page>
  );
}
