import { Alert, Button, List, Text } from "@mantine/core";
import { asApiError, type ApiError } from "@/api/errors";
import { Icon } from "@/components/icons";
import { useTexts } from "@/components/texts";
import { clock } from "@/lib/time";

// What a person may meet on a page. The server's own sentence, which may name numbers, is English.
const TRANSLATED = [
  "role_too_low", "lease_ended", "batch_frozen", "assignment_skipped", "already_answered",
  "ranking_incomplete", "ties_not_allowed", "text_empty", "text_too_long", "stale", "username_taken",
  "already_member", "last_admin", "link_not_allowed", "round_running", "step_not_done", "nothing_to_decide",
  "run_alive", "run_ended", "round_ended", "nothing_to_simulate",
] as const;

/** The sentence for a person: what happened and what to do. */
export function useErrorText(): (error: unknown) => string {
  const { t, language } = useTexts();
  return (raw) => {
    const error = asApiError(raw);
    if (error.status === 0) return t("error.offline");
    if (error.status === -1) return t("error.client");
    if (error.status >= 500) return t("error.server", { time: clock(Date.now(), language) });
    if (error.code === "not_found") return t("error.not_found");
    if (error.code === "forbidden") return t("error.forbidden");
    const known = TRANSLATED.find((code) => code === error.code);
    return known && language !== "en" ? t(`code.${known}`) : error.message;
  };
}

function Fields({ error }: { error: ApiError }) {
  const named = error.fields.filter((field) => field.message !== error.message);
  if (named.length === 0) return null;
  return (
    <List size="sm" mt="xs">
      {named.map((field) => (
        <List.Item key={`${field.field} ${field.code}`}>
          {field.field ? <code>{field.field}</code> : null} {field.message}
        </List.Item>
      ))}
    </List>
  );
}

/** What went wrong, what to do about it, and the button that does it. */
export function ErrorPanel({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTexts();
  const say = useErrorText();
  return (
    <Alert color="red" variant="light" title={t("error.title")} icon={<Icon name="warning" />} role="alert">
      <Text size="sm">{say(error)}</Text>
      <Fields error={asApiError(error)} />
      {onRetry ? (
        <Button mt="sm" size="xs" variant="default" onClick={onRetry}>
          {t("retry")}
        </Button>
      ) : null}
    </Alert>
  );
}
