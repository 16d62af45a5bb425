import { Group, Text } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { isRoundEnded, useRound } from "@/api/live";
import { useProjectId } from "@/api/session";
import type { Round, RoundStep } from "@/api/training-types";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { RoundStateBadge } from "@/components/state-badge";
import { SyntheticMark } from "@/components/synthetic-mark";
import { dateTime } from "@/lib/time";
import { MainActions, MoreActions } from "./actions";
import { Outcome } from "./outcome";
import { RecipeSummary } from "./recipe-summary";
import { Review } from "./review";
import { StepPanel } from "./step-panel";
import { Stepper } from "./stepper";
import { useTexts } from "./texts";
import "./rounds.css";

/** The step to look at first: the present one, the failed one, or the last that was done. */
function firstLook(round: Round): string {
  const { steps } = round;
  const present = steps.find(({ state }) => state === "active" || state === "failed");
  return (present ?? steps.findLast(({ state }) => state === "done") ?? steps[0])?.step ?? "";
}

function StepView({ round, step }: { round: Round; step: RoundStep }) {
  if (step.step === "review" && (round.evaluation || step.state !== "waiting")) return <Review round={round} step={step} />;
  return <StepPanel key={step.step} round={round} step={step} />;
}

function Subtitle({ round }: { round: Round }) {
  const { t, language } = useTexts();
  return (
    <Group gap="xs" mt={6}>
      <RoundStateBadge state={round.state} />
      {round.is_synthetic ? <SyntheticMark /> : null}
      <Text size="sm" component="span">{t("began", { at: dateTime(round.created_at, language) })}</Text>
      <Text size="sm" component="span">
        {t("against")} <Link to={`/p/${round.project}/models/${round.opponent.id}`}>{round.opponent.name}</Link>
      </Text>
    </Group>
  );
}

function Followed({ round, isStreamLost }: { round: Round; isStreamLost: boolean }) {
  const { t } = useTexts();
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = chosen ?? firstLook(round);
  const step = round.steps.find((one) => one.step === shown);
  return (
    <Page title={t("round", { number: round.number })} subtitle={<Subtitle round={round} />} actions={<><MoreActions round={round} /><MainActions round={round} /></>}>
      {isStreamLost ? <Text size="xs" c="dimmed" role="status" mb="xs">{t("stream.lost")}</Text> : null}
      <Outcome round={round} />
      <div className="round">
        <div className="round-side">
          <Stepper steps={round.steps} shown={shown} onShow={setChosen} />
          <RecipeSummary round={round} />
        </div>
        <div className="round-main">{step ? <StepView round={round} step={step} /> : null}</div>
      </div>
    </Page>
  );
}

export function RoundPage() {
  const id = useParams()["round"] ?? "";
  const project = useProjectId();
  const { query, stream } = useRound(id);
  if (!query.data) return <div className="page"><QueryState query={query}>{() => null}</QueryState></div>;
  return <Followed key={`${project} ${id}`} round={query.data} isStreamLost={stream === "waiting" && !isRoundEnded(query.data.state)} />;
}
