import { Alert, Button, Group, Stack, Text, Title } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { useRole } from "@/api/session";
import type { Round, RoundAction, RoundStep } from "@/api/training-types";
import { Confirm } from "@/components/confirm";
import { Icon } from "@/components/icons";
import { ProgressLine } from "@/components/progress-line";
import { useNames } from "@/components/state-badge";
import { useDecide } from "./actions";
import { EvaluationTable } from "./evaluation";
import { Held } from "./held";
import { Pairs } from "./pairs";
import { useTexts } from "./texts";

/** Promote or drop: the one decision that only a person makes. */
function Decision({ round }: { round: Round }) {
  const { t } = useTexts();
  const role = useRole();
  const decide = useDecide(round.id);
  const [asked, setAsked] = useState<Extract<RoundAction, "promote" | "drop"> | null>(null);
  if (role !== "admin" || !round.actions.includes("drop")) return null;
  const name = round.candidate?.name ?? "";
  return (
    <Group gap="sm">
      {round.actions.includes("promote") ? <Button onClick={() => setAsked("promote")}>{t("promote")}</Button> : null}
      <Button variant="default" onClick={() => setAsked("drop")}>{t("drop")}</Button>
      <Confirm
        key={asked}
        opened={asked !== null}
        title={asked === "drop" ? t("drop.title", { name }) : t("promote.title", { name })}
        action={t(asked === "drop" ? "drop" : "promote")}
        isDangerous={asked === "drop"}
        note={t("note")}
        isPending={decide.isPending}
        error={decide.error}
        onClose={() => setAsked(null)}
        onConfirm={(note) => asked && decide.mutate({ action: asked, note }, { onSuccess: () => setAsked(null) })}
      >
        {asked === "drop" ? t("drop.text", { current: round.opponent.name }) : t("promote.text", { current: round.opponent.name })}
      </Confirm>
    </Group>
  );
}

function Comparisons({ round, step }: { round: Round; step: RoundStep }) {
  const { t } = useTexts();
  const names = useNames();
  if (step.state !== "active" || !step.batch) return null;
  return (
    <Stack gap="xs">
      <ProgressLine done={step.done} wanted={step.wanted} name={names.step("review")} left={t("progress.comparisons", { done: step.done, wanted: step.wanted })} />
      <Held round={round} step={step} />
      {step.done < step.wanted ? <Group gap="sm"><Button component={Link} to={`/p/${round.project}/label`} variant="light" size="xs">{t("compare")}</Button></Group> : null}
    </Stack>
  );
}

/** Candidate against current policy: numbers, then the answers themselves, then the decision. */
export function Review({ round, step }: { round: Round; step: RoundStep }) {
  const { t } = useTexts();
  const notMeasured = round.evaluation?.not_measured;
  return (
    <Stack gap="lg">
      <section className="panel">
        <Group justify="space-between" mb="sm">
          <Title order={2}>{t("review.title")}</Title>
          <Decision round={round} />
        </Group>
        <Stack gap="md">
          <Text size="sm" c="dimmed" maw={640}>{t("explain.review")}</Text>
          {notMeasured ? <Alert role="note" color="yellow" icon={<Icon name="warning" />} title={t("not-measured")}><span lang="en">{notMeasured}</span></Alert> : null}
          <Comparisons round={round} step={step} />
          {round.evaluation ? <EvaluationTable round={round} evaluation={round.evaluation} /> : null}
        </Stack>
      </section>
      <Pairs round={round} />
    </Stack>
  );
}
