import { Alert, Button, Group, Text } from "@mantine/core";
import { useState } from "react";
import type { AssignmentState } from "@/api/types";
import { ErrorPanel } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import type { Offer } from "@/lib/drafts/sync";
import { dateTime } from "@/lib/time";
import { useTexts } from "./texts";

interface Props {
  state: AssignmentState;
  isLost: boolean;
  isCorrection: boolean;
  isReadOnly: boolean;
  offer: Offer<unknown> | null;
  onTake: () => void;
  onDismiss: () => void;
  error: unknown;
}

/** What a person must know about this task before going on. */
export function TaskNotices({ state, isLost, isCorrection, isReadOnly, offer, onTake, onDismiss, error }: Props) {
  const { t, language } = useTexts();
  const [hidden, setHidden] = useState(false);
  return (
    <div className="task-notices">
      {error ? <ErrorPanel error={error} /> : null}
      {isLost && !isCorrection ? <Alert color="yellow" icon={<Icon name="clock" />}>{t("lease.lost")}</Alert> : null}
      {isReadOnly ? <Alert color="gray">{t("answer.closed")}</Alert> : null}
      {isCorrection && !isReadOnly && !hidden ? (
        <Alert icon={<Icon name="history" />} withCloseButton closeButtonLabel={t("dismiss")} onClose={() => setHidden(true)}>
          {state === "late" ? t("answer.late") : t("answer.correct")}
        </Alert>
      ) : null}
      {offer ? (
        <Alert icon={<Icon name="copy" />}>
          <Group justify="space-between" gap="xs">
            <Text size="sm">{t("offer", { at: dateTime(offer.at, language) })}</Text>
            <Group gap={6}>
              <Button size="compact-sm" variant="default" onClick={onTake}>{t("offer.take")}</Button>
              <Button size="compact-sm" variant="subtle" onClick={onDismiss}>{t("offer.dismiss")}</Button>
            </Group>
          </Group>
        </Alert>
      ) : null}
    </div>
  );
}
