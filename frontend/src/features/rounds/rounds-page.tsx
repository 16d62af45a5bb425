import { Button, Table, Text } from "@mantine/core";
import { Link, useSearchParams } from "react-router";
import { isRoundEnded, useRounds } from "@/api/live";
import { useProjectId, useRole } from "@/api/session";
import type { Round } from "@/api/training-types";
import { EmptyState } from "@/components/empty-state";
import { Icon } from "@/components/icons";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { RoundStateBadge, useNames } from "@/components/state-badge";
import { SyntheticMark } from "@/components/synthetic-mark";
import { decimal } from "@/lib/format";
import { dateTime } from "@/lib/time";
import { LaunchDialog } from "./launch-dialog";
import { useTexts } from "./texts";
import "./rounds.css";

/** What came of a round, in a few words. */
function Outcome({ round }: { round: Round }) {
  const { t, language } = useTexts();
  const names = useNames();
  const means = round.evaluation?.reward_mean;
  if (round.state === "failed") return <Text size="sm" className="clamp-2">{t("outcome.failed", { step: names.step(round.failed_at_step) })}</Text>;
  if (means && means.candidate !== null && means.current !== null) return <>{t("outcome.reward", { candidate: decimal(means.candidate, language), current: decimal(means.current, language) })}</>;
  const active = round.steps.find(({ state }) => state === "active");
  if (active && active.wanted > 0) return <>{active.unit === "percent" ? `${active.done} %` : `${active.done} / ${active.wanted}`}</>;
  return <>–</>;
}

function Rows({ rounds, project }: { rounds: Round[]; project: string }) {
  const { t, language } = useTexts();
  return (
    <Table.ScrollContainer minWidth={560}>
      <Table highlightOnHover aria-label={t("rounds.title")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("column.round")}</Table.Th>
            <Table.Th>{t("column.state")}</Table.Th>
            <Table.Th>{t("column.outcome")}</Table.Th>
            <Table.Th>{t("column.candidate")}</Table.Th>
            <Table.Th>{t("column.began")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rounds.map((round) => (
            <Table.Tr key={round.id}>
              <Table.Td><Link to={`/p/${project}/rounds/${round.id}`} className="strong-link">{t("round", { number: round.number })}</Link></Table.Td>
              <Table.Td><RoundStateBadge state={round.state} /> {round.is_synthetic ? <SyntheticMark /> : null}</Table.Td>
              <Table.Td><Outcome round={round} /></Table.Td>
              <Table.Td>{round.candidate ? <Link to={`/p/${project}/models/${round.candidate.id}`}>{round.candidate.name}</Link> : "–"}</Table.Td>
              <Table.Td className="nowrap">{dateTime(round.created_at, language)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

export function RoundsPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const isAdmin = useRole() === "admin";
  const rounds = useRounds(project);
  const [address, setAddress] = useSearchParams();
  const live = rounds.data?.find(({ state }) => !isRoundEnded(state));
  const open = () => setAddress({ launch: "1" }, { replace: true });
  const launch =
    isAdmin && rounds.data && !live ? (
      <Button leftSection={<Icon name="play" size={16} />} onClick={open}>{t("launch.open")}</Button>
    ) : live ? (
      <Button component={Link} to={`/p/${project}/rounds/${live.id}`}>{t("follow", { number: live.number })}</Button>
    ) : null;
  return (
    <Page title={t("rounds.title")} subtitle={t("rounds.lead")} actions={launch}>
      <QueryState query={rounds}>
        {(list) =>
          list.length === 0 ? (
            <EmptyState icon="rounds" title={t("rounds.none")} action={launch}>{t("rounds.none.text")}</EmptyState>
          ) : (
            <Rows rounds={list} project={project} />
          )
        }
      </QueryState>
      {isAdmin && address.has("launch") ? <LaunchDialog project={project} onClose={() => setAddress({}, { replace: true })} /> : null}
    </Page>
  );
}
