import { Badge, type MantineColor } from "@mantine/core";
import type { RoundState, Run, RunState } from "@/api/training-types";
import type { Role, Stage, VersionKind } from "@/api/types";
import { useTexts } from "@/components/texts";

const ROUND: Partial<Record<RoundState, MantineColor>> = { promoted: "green", review: "yellow", dropped: "gray", cancelled: "gray", failed: "red" };
const RUN: Record<RunState, MantineColor> = { queued: "gray", running: "petrol", succeeded: "green", failed: "red", cancelled: "gray" };
const STAGE: Partial<Record<Stage, MantineColor>> = { current: "petrol", ready: "gray" };

export function RoundStateBadge({ state }: { state: string }) {
  const { t } = useTexts();
  const known = state as RoundState;
  return <Badge color={ROUND[known] ?? "petrol"}>{t(`step.${known}`)}</Badge>;
}

/** The state of a run, and whether it is about to stop because somebody said so. */
export function RunStateBadge({ run }: { run: Pick<Run, "state" | "cancel_requested"> }) {
  const { t } = useTexts();
  return <Badge color={run.cancel_requested ? "yellow" : RUN[run.state]}>{t(run.cancel_requested ? "run.stopping" : `run.${run.state}`)}</Badge>;
}

export function StageBadge({ stage }: { stage: Stage }) {
  const { t } = useTexts();
  return <Badge color={STAGE[stage] ?? "gray"} variant={stage === "current" ? "light" : "outline"}>{t(`stage.${stage}`)}</Badge>;
}

/** The names of states, steps and kinds, for sentences. */
export function useNames() {
  const { t } = useTexts();
  return {
    step: (step: string) => t(`step.${step as RoundState}`),
    runKind: (kind: string) => t(`run-kind.${kind as "sft"}`),
    ahead: (runs: number) => (runs === 0 ? t("run.next") : t("run.ahead", { count: runs })),
    stopped: (reason: string) => t(`stopped.${reason as "kl_budget"}`),
    role: (role: string) => t(`role.${role as Role}`),
    versionKind: (kind: VersionKind) => t(`kind.${kind}`),
  };
}
