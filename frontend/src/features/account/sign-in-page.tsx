import { Alert, Button, Code, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "react-router";
import { api, body } from "@/api/client";
import { ApiError } from "@/api/errors";
import { useErrorText } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import { Logo } from "@/components/logo";
import { usePageTitle } from "@/components/page";
import { useTexts } from "./texts";

/** The secret stands after "#": browsers send that part to nobody, so it is in no log. Taken out of the address at once. */
function takeSecret(): string {
  const secret = decodeURIComponent(location.hash.slice(1));
  if (secret) history.replaceState(history.state, "", location.pathname);
  return secret;
}

function Trouble({ error }: { error: unknown }) {
  const { t } = useTexts();
  const say = useErrorText();
  const code = error instanceof ApiError ? error.code : "";
  const isLink = code === "link_used" || code === "link_expired" || code === "link_unknown";
  return (
    <Alert color="red" icon={<Icon name="warning" />} role="alert">
      {isLink ? t(`sign-in.error.${code}`) : say(error)}
    </Alert>
  );
}

function HowToGetOne() {
  const { t } = useTexts();
  const [before, after] = t("sign-in.new", { command: "\u0000" }).split("\u0000");
  return (
    <Text size="sm" c="dimmed">
      {before}
      <Code>make link</Code>
      {after}
    </Text>
  );
}

export function SignInPage() {
  const { t } = useTexts();
  const ended = (useLocation().state as { ended?: boolean } | null)?.ended === true;
  const [secret] = useState(takeSecret);
  usePageTitle(t("sign-in.title"));

  const signIn = useMutation({
    mutationFn: () => body(api.POST("/api/v1/auth/sign-in/", { body: { secret } })),
    // A fresh page: nothing of whoever was here before goes on under the new name.
    onSuccess: () => location.replace("/"),
  });

  return (
    <main className="sign-in">
      <Stack gap="md" className="sign-in-card">
        <Link to="/" className="brand">
          <Logo size={34} />
          <span className="brand-name brand-big">Preceptor</span>
        </Link>
        {ended ? <Alert icon={<Icon name="clock" />}>{t("sign-in.ended")}</Alert> : null}
        <Title order={1} size="h2">
          {secret ? t("sign-in.title") : t("sign-in.no-secret.title")}
        </Title>
        <Text>{secret ? t("sign-in.lead") : t("sign-in.no-secret")}</Text>
        {signIn.error ? <Trouble error={signIn.error} /> : null}
        {signIn.data ? (
          <Text role="status" fw={550}>{t("sign-in.welcome", { name: signIn.data.display_name || signIn.data.username })}</Text>
        ) : secret ? (
          <Button size="md" onClick={() => signIn.mutate()} loading={signIn.isPending} aria-label={signIn.isPending ? t("sign-in.going") : undefined} autoFocus>
            {t("sign-in.go")}
          </Button>
        ) : null}
        {!secret || signIn.error ? <HowToGetOne /> : null}
      </Stack>
    </main>
  );
}
