import { Button, Group, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { useRound } from "@/api/live";
import { isAtLeast } from "@/api/session";
import type { Round } from "@/api/training-types";
import type { ProjectDetail } from "@/api/types";
import { ProgressLine } from "@/components/progress-line";
import { QueryState } from "@/components/query-state";
import { StepLine } from "@/components/step-line";
import { useNames } from "@/components/state-badge";
import { SyntheticMark } from "@/components/synthetic-mark";
import { timeSpan, whole } from "@/lib/format";
import { useTexts } from "./texts";

function Now({ round }: { round: Round }) {
  const { t, language } = useTexts();
  const names = useNames();
  const active = round.steps.find(({ state }) => state === "active");
  if (!active || active.wanted === 0) return null;
  const { unit } = active;
  const left = unit === "percent" ? `${names.step(active.step)} · ${active.done} %` : t(`progress.${unit}`, { done: whole(active.done, language), wanted: whole(active.wanted, language) });
  const eta = active.run?.eta_seconds;
  return <ProgressLine done={active.done} wanted={active.wanted} name={names.step(active.step)} left={left} right={eta ? t("eta", { time: timeSpan(eta, language) }) : undefined} />;
}

function Followed({ id, project }: { id: string; project: string }) {
  const { t } = useTexts();
  const { query } = useRound(id);
  return (
    <QueryState query={query}>
      {(round) => (
        <>
          <StepLine steps={round.steps} />
          <Now round={round} />
          <Group mt="md" gap="sm">
            <Button component={Link} to={`/p/${project}/rounds/${id}`} variant="default" size="xs">{t("round.open")}</Button>
            {round.is_synthetic ? <SyntheticMark /> : null}
          </Group>
        </>
      )}
    </QueryState>
  );
}

/** What is going on now, as far as the role may see it. */
export function LiveRound({ project }: { project: ProjectDetail }) {
  const { t } = useTexts();
  const names = useNames();
  const round = project.round;
  return (
    <section className="panel">
      <Title order={2}>{round ? t("now", { number: round.number, step: names.step(round.state) }) : t("round.none")}</Title>
      {!round ? <Text c="dimmed">{t(project.current_policy ? `idle.${project.role}` : "idle.no-model")}</Text> : null}
      {round && isAtLeast(project.role, "reviewer") ? <Followed id={round.id} project={project.id} /> : null}
      {round && project.role === "labeler" ? <Text c="dimmed">{project.counts.open_tasks > 0 ? t("labeler.tasks", { count: project.counts.open_tasks }) : t("labeler.wait")}</Text> : null}
    </section>
  );
}
