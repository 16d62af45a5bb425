import { Button } from "@mantine/core";
import { Link, useRouteError } from "react-router";
import { useTexts } from "@/app/texts";
import { EmptyState } from "@/components/empty-state";

export function NotFound() {
  const { t } = useTexts();
  return (
    <EmptyState icon="help" title={t("not-found.title")} action={<Button component={Link} to="/">{t("not-found.home")}</Button>}>
      {t("not-found.text")}
    </EmptyState>
  );
}

/** A page threw. A chunk of an older build that is gone looks the same, and reloading helps. */
export function Crash() {
  const { t } = useTexts();
  const error = useRouteError();
  return (
    <EmptyState icon="warning" title={t("crash.title")} action={<Button onClick={() => location.reload()}>{t("crash.reload")}</Button>}>
      {t("crash.text")} {error instanceof Error ? <code>{error.message.slice(0, 200)}</code> : null}
    </EmptyState>
  );
}
