import { Alert, Button, Group, Text } from "@mantine/core";
import { Link } from "react-router";
import { useRounds } from "@/api/live";
import { useRole } from "@/api/session";
import type { Round } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import reasonsZh from "./locales/reasons.zh-Hans.json";
import { useTexts } from "./texts";

/** The way to the round after this one, or to the dialog that launches it. */
function NextRound({ round }: { round: Round }) {
  const { t } = useTexts();
  const role = useRole();
  const rounds = useRounds(round.project).data;
  const next = rounds?.find(({ number }) => number === round.number + 1);
  if (next) return <Button component={Link} to={`/p/${round.project}/rounds/${next.id}`} size="xs">{t("follow", { number: next.number })}</Button>;
  if (!rounds || role !== "admin") return null;
  return <Button component={Link} to={`/p/${round.project}/rounds?launch=1`} size="xs">{t("next-round")}</Button>;
}

/** Why the round stopped, in the reader's language; the server's own sentence below has the numbers. */
function Reason({ round }: { round: Round }) {
  const { language } = useTexts();
  const told = language === "en" ? undefined : (reasonsZh as Record<string, string>)[round.reason_code];
  return (
    <>
      {told ? <Text size="sm">{told}</Text> : null}
      <Text size="sm" lang="en" c={told ? "dimmed" : undefined}>{round.reason}</Text>
    </>
  );
}

/** How a round ended, and what comes next; why it failed, and what to do about it. */
export function Outcome({ round }: { round: Round }) {
  const { t } = useTexts();
  const names = useNames();
  switch (round.state) {
    case "failed":
      return (
        <Alert color="red" icon={<Icon name="warning" />} title={t("failed.title", { step: names.step(round.failed_at_step) })} mb="lg" role="alert">
          <Reason round={round} />
          <Text size="sm" mt={6}>{t("failed.text")}</Text>
        </Alert>
      );
    case "promoted": {
      const isCurrent = round.candidate?.stage === "current";
      return (
        <Alert role="status" color="green" icon={<Icon name="check" />} title={t(isCurrent ? "promoted.title" : "promoted-before.title", { name: round.candidate?.name ?? "" })} mb="lg">
          <Text size="sm">{t(isCurrent ? "promoted.text" : "promoted-before.text")}</Text>
          <Group gap="sm" mt="sm">
            <NextRound round={round} />
            <Button component={Link} to={`/p/${round.project}/models/${round.candidate?.id ?? ""}`} size="xs" variant="default">{t("promoted.look")}</Button>
            <Button component={Link} to={`/p/${round.project}/data`} size="xs" variant="default">{t("promoted.data")}</Button>
          </Group>
        </Alert>
      );
    }
    case "dropped":
    case "cancelled":
      return (
        <Alert role="status" color="gray" icon={<Icon name="stop" />} title={t(`ended.${round.state}.title`)} mb="lg">
          <Text size="sm">{t(`ended.${round.state}.text`)}</Text>
          <Group mt="sm"><NextRound round={round} /></Group>
        </Alert>
      );
    default:
      return null;
  }
}
