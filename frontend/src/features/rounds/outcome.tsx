import { Alert, Button, Group, Text } from "@mantine/core";
import { Link } from "react-router";
import { useRole } from "@/api/session";
import type { Round } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { useTexts } from "./texts";

function NextRound({ round }: { round: Round }) {
  const { t } = useTexts();
  if (useRole() !== "admin") return null;
  return <Button component={Link} to={`/p/${round.project}/rounds?launch=1`} size="xs">{t("next-round")}</Button>;
}

/** How a round ended, and what comes next; why it failed, and what to do about it. */
export function Outcome({ round }: { round: Round }) {
  const { t } = useTexts();
  const names = useNames();
  switch (round.state) {
    case "failed":
      return (
        <Alert color="red" icon={<Icon name="warning" />} title={t("failed.title", { step: names.step(round.failed_at_step) })} mb="lg" role="alert">
          <Text size="sm" lang="en">{round.reason}</Text>
          <Text size="sm" mt={6}>{t("failed.text")}</Text>
        </Alert>
      );
    case "promoted":
      return (
        <Alert role="status" color="green" icon={<Icon name="check" />} title={t("promoted.title", { name: round.candidate?.name ?? "" })} mb="lg">
          <Text size="sm">{t("promoted.text")}</Text>
          <Group gap="sm" mt="sm">
            <NextRound round={round} />
            <Button component={Link} to={`/p/${round.project}/models/${round.candidate?.id ?? ""}`} size="xs" variant="default">{t("promoted.look")}</Button>
            <Button component={Link} to={`/p/${round.project}/data`} size="xs" variant="default">{t("promoted.data")}</Button>
          </Group>
        </Alert>
      );
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
