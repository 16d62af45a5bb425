import { Badge, type MantineColor } from "@mantine/core";
import type { RoundState, RunState } from "@/api/training-types";
import type { Stage, VersionKind } from "@/api/types";
import { useTexts } from "@/components/texts";
import "@/components/state-badge.css";

const ROUND: Partial<Record<RoundState, MantineColor>> = { dropped: "gray", cancelled: "gray", failed: "red" };
const ROUND_CLASS: Partial<Record<RoundState, string>> = { promoted: "badge-good", review: "badge-wait" };
const RUN: Record<RunState, MantineColor> = { queued: "gray", running: "petrol", succeeded: "gray", failed: "red", cancelled: "gray" };
const STAGE: Partial<Record<Stage, MantineColor>> = { current: "petrol", ready: "gray" };

export function RoundStateBadge({ state }: { state: string }) {
  const { t } = useTexts();
  const known = state as RoundState;
  return <Badge color={ROUND[known] ?? "petrol"} className={ROUND_CLASS[known]}>{t(`step.${known}`)}</Badge>;
}

export function RunStateBadge({ state }: { state: RunState }) {
  const { t } = useTexts();
  return <Badge color={RUN[state]} className={state === "succeeded" ? "badge-good" : undefined}>{t(`run.${state}`)}</Badge>;
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
    stopped: (reason: string) => t(`stopped.${reason as "kl_budget"}`),
    versionKind: (kind: VersionKind) => t(`kind.${kind}`),
  };
}
