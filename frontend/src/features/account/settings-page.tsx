import { Button, Group, SegmentedControl, Stack, TextInput, Title, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "@/api/client";
import { queryClient, useMe } from "@/api/session";
import type { Me } from "@/api/types";
import { ErrorPanel } from "@/components/error-panel";
import { notify } from "@/components/notify";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { LANGUAGES, setLanguage, type LanguageCode } from "@/lib/i18n";
import { useTexts } from "./texts";
import { Tokens } from "./tokens";

function useSaveMe() {
  const { t } = useTexts();
  return useMutation({
    mutationFn: (change: { display_name?: string; language?: LanguageCode }) => body(api.PATCH("/api/v1/me/", { body: change })),
    onSuccess: (me) => {
      queryClient.setQueryData(["me"], me);
      notify(t("settings.saved"), { id: "settings" });
    },
  });
}

function Person({ me }: { me: Me }) {
  const { t } = useTexts();
  const [name, setName] = useState(me.display_name);
  const save = useSaveMe();
  return (
    <section>
      <Title order={2} mb="sm">{t("settings.person")}</Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate({ display_name: name });
        }}
      >
        <Group align="flex-end">
          <TextInput label={t("settings.name")} value={name} onChange={(e) => setName(e.currentTarget.value)} maxLength={80} w={340} maw="100%" />
          <Button type="submit" variant="default" loading={save.isPending} disabled={name.trim() === me.display_name}>
            {t("settings.save")}
          </Button>
        </Group>
      </form>
      {save.error ? <ErrorPanel error={save.error} /> : null}
    </section>
  );
}

function Display() {
  const { t, language } = useTexts();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const save = useSaveMe();
  return (
    <section>
      <Title order={2} mb="sm">{t("settings.display")}</Title>
      <Stack gap="sm" align="flex-start">
        <label className="setting">
          <span>{t("settings.language")}</span>
          <SegmentedControl
            value={language}
            data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
            onChange={(value) => {
              setLanguage(value as LanguageCode);
              save.mutate({ language: value as LanguageCode });
            }}
          />
        </label>
        <label className="setting">
          <span>{t("settings.scheme")}</span>
          <SegmentedControl
            value={colorScheme}
            data={(["light", "dark", "auto"] as const).map((value) => ({ value, label: t(`settings.scheme.${value}`) }))}
            onChange={(value) => setColorScheme(value as MantineColorScheme)}
          />
        </label>
      </Stack>
    </section>
  );
}

export function SettingsPage() {
  const { t } = useTexts();
  const me = useMe();
  return (
    <Page title={t("settings.title")}>
      <QueryState query={me}>
        {(person) => (
          <Stack gap={40} maw={820}>
            <Person me={person} />
            <Display />
            <Tokens me={person} />
          </Stack>
        )}
      </QueryState>
    </Page>
  );
}
