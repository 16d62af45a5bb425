import { Text } from "@mantine/core";
import type { Round, RoundStep } from "@/api/training-types";
import { hourMinute } from "@/lib/time";
import { useTexts } from "./texts";

/** Why a step may stand still although nobody seems to be at work. */
export function Held({ round, step }: { round: Round; step: RoundStep }) {
  const { t, sentences, language } = useTexts();
  if (!step.held) return null;
  const values = { count: step.held.tasks, time: hourMinute(step.held.until, language) };
  return (
    <Text size="sm" role="status">
      {sentences(t("held", values), round.actions.includes("simulate") ? t("held.simulate") : null)}
    </Text>
  );
}
