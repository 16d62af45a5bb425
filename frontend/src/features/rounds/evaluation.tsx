import { Table, Text } from "@mantine/core";
import { isRoundEnded } from "@/api/live";
import type { Evaluation, Round } from "@/api/training-types";
import { decimal, percent, winRate } from "@/lib/format";
import { useTexts } from "./texts";

/** How much of the KL budget is used. */
function Budget({ kl, budget }: { kl: number | null; budget: number | null }) {
  const { t, language } = useTexts();
  if (kl === null) return <>–</>;
  const text = budget === null ? t("kl.free", { kl: decimal(kl, language) }) : t("kl.of", { kl: decimal(kl, language), budget: decimal(budget, language) });
  return (
    <div className="kl">
      <span>{text}</span>
      {budget === null ? null : <meter min={0} max={budget} high={budget * 0.8} optimum={0} value={Math.min(kl, budget)} aria-label={text} />}
      <Text size="xs" c="dimmed">{t("kl.note")}</Text>
    </div>
  );
}

/** Wins of the candidate with the interval they allow. */
function Wins({ evaluation, isSynthetic }: { evaluation: Evaluation; isSynthetic: boolean }) {
  const { t, language } = useTexts();
  const { candidate_wins: wins, current_wins: losses, ties } = evaluation.comparisons;
  const rate = winRate(wins, losses, ties);
  if (!rate) return <Text size="sm" c="dimmed">{t("wins.none")}</Text>;
  const percents = { share: percent(rate.share, language), low: percent(rate.low, language), high: percent(rate.high, language) };
  return (
    <div className="wins">
      <div>{t("wins.interval", percents)}</div>
      <svg viewBox="0 0 200 14" role="img" aria-label={t("wins.interval", percents)} preserveAspectRatio="none">
        <path className="wins-axis" d="M0 7H200M100 1V13" />
        <path className="wins-range" d={`M${rate.low * 200} 7H${rate.high * 200}`} />
        <circle cx={rate.share * 200} cy="7" r="4" />
      </svg>
      <Text size="xs" c="dimmed">{t("wins.counts", { wins, losses, ties })}{isSynthetic ? t("wins.synthetic") : ""}</Text>
    </div>
  );
}

/** What was measured of both, beside each other. */
export function EvaluationTable({ round, evaluation }: { round: Round; evaluation: Evaluation }) {
  const { t, language } = useTexts();
  const { reward_mean: mean, reward_sd: sd, length_mean: length } = evaluation;
  const reward = (who: "candidate" | "current") => (mean[who] === null ? "–" : `${decimal(mean[who], language)} ± ${decimal(sd[who], language)}`);
  return (
    <Table.ScrollContainer minWidth={300}>
      <Table className="evaluation">
        <Table.Thead>
          <Table.Tr>
            <Table.Th aria-label={t("measure")} />
            <Table.Th>{t("candidate")}<div className="who">{round.candidate?.name}</div></Table.Th>
            <Table.Th>{t(isRoundEnded(round.state) ? "current.then" : "current")}<div className="who">{round.opponent.name}</div></Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          <Table.Tr>
            <Table.Th scope="row">{t("measure.reward")}</Table.Th>
            <Table.Td>{reward("candidate")}</Table.Td>
            <Table.Td>{reward("current")}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Th scope="row">{t("measure.better")}</Table.Th>
            <Table.Td colSpan={2}>{evaluation.reward_win_rate === null ? "–" : t("measure.better.value", { share: percent(evaluation.reward_win_rate, language), count: evaluation.prompts })}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Th scope="row">{t("measure.kl")}</Table.Th>
            <Table.Td colSpan={2}><Budget kl={evaluation.kl_mean} budget={evaluation.kl_budget} /></Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Th scope="row">{t("measure.length")}</Table.Th>
            <Table.Td>{decimal(length.candidate, language)}</Table.Td>
            <Table.Td>{decimal(length.current, language)}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Th scope="row">{t("measure.people")}</Table.Th>
            <Table.Td colSpan={2}><Wins evaluation={evaluation} isSynthetic={round.is_synthetic} /></Table.Td>
          </Table.Tr>
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
