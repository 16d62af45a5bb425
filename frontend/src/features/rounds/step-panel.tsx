import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { useRole } from "@/api/session";
import type { Round, RoundStep } from "@/api/training-types";
import { Facts } from "@/components/facts";
import { ProgressLine } from "@/components/progress-line";
import { useNames } from "@/components/state-badge";
import { decimal, timeSpan, whole } from "@/lib/format";
import { Held } from "./held";
import { StepRun } from "./step-run";
import { useTexts } from "./texts";

const EXPLAINED = ["demonstrating", "training_sft", "sampling", "ranking", "training_reward", "training_policy", "evaluating", "review"] as const;

function Progress({ step }: { step: RoundStep }) {
  const { t, language } = useTexts();
  const names = useNames();
  if (step.wanted === 0 || step.state === "waiting" || step.state === "skipped") return null;
  const { unit } = step;
  const eta = step.state === "active" ? step.run?.eta_seconds : null;
  const left = unit === "percent" ? `${step.done} %` : t(`progress.${unit}`, { done: whole(step.done, language), wanted: whole(step.wanted, language) });
  return <ProgressLine done={step.done} wanted={step.wanted} name={names.step(step.step)} left={left} right={eta ? t("eta", { time: timeSpan(eta, language) }) : undefined} />;
}

function People({ round, step }: { round: Round; step: RoundStep }) {
  const { t } = useTexts();
  const role = useRole();
  if (!step.batch || step.state !== "active" || step.done >= step.wanted) return null;
  return (
    <>
      <Held round={round} step={step} />
      <Group gap="sm">
        <Button component={Link} to={`/p/${round.project}/label`} variant="light">{t("label")}</Button>
        {role === "admin" ? <Button component={Link} to={`/p/${round.project}/members`} variant="subtle" color="gray">{t("invite")}</Button> : null}
      </Group>
    </>
  );
}

function Sampler({ step, project }: { step: RoundStep; project: string }) {
  const { t, language } = useTexts();
  const { job } = step;
  if (!job) return null;
  return (
    <Facts
      facts={[
        job.model ? { label: t("job.model"), value: <Link to={`/p/${project}/models/${job.model.id}`}>{job.model.name}</Link> } : null,
        { label: t("job.speed"), value: job.tokens_per_second ? t("job.tokens", { rate: decimal(job.tokens_per_second, language) }) : "–" },
        { label: t("job.completions"), value: `${whole(job.finished, language)} / ${whole(job.wanted, language)}` },
      ]}
    />
  );
}

function Waiting({ round }: { round: Round }) {
  const { t } = useTexts();
  const code = round.waiting_for;
  return code ? <Text size="sm" c="dimmed" role="status">{t(`waiting.${code}`)}</Text> : null;
}

/** One step of a round in full: how far, by whom, and what the machine learns meanwhile. */
export function StepPanel({ round, step }: { round: Round; step: RoundStep }) {
  const { t } = useTexts();
  const names = useNames();
  const known = EXPLAINED.find((name) => name === step.step);
  return (
    <section className="panel">
      <Title order={2}>{names.step(step.step)}</Title>
      <Stack gap="md">
        {known ? <Text size="sm" c="dimmed" maw={640}>{t(`explain.${known}`)}</Text> : null}
        <Progress step={step} />
        {step.state === "active" ? <Waiting round={round} /> : null}
        <People round={round} step={step} />
        <Sampler step={step} project={round.project} />
        {step.run ? <StepRun id={step.run.id} project={round.project} /> : null}
      </Stack>
    </section>
  );
}
