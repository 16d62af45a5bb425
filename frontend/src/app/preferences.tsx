import { ActionIcon, Menu, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { api } from "@/api/client";
import { queryClient, useMe } from "@/api/session";
import { useTexts } from "@/app/texts";
import { Icon, type IconName } from "@/components/icons";
import { LANGUAGES, setLanguage, type LanguageCode } from "@/lib/i18n";

const SCHEMES: Record<MantineColorScheme, IconName> = { light: "sun", dark: "moon", auto: "auto" };

export function LanguageMenu() {
  const { t, language } = useTexts();
  const me = useMe();
  const choose = (code: LanguageCode) => {
    setLanguage(code);
    // The choice follows the person to other computers; here it holds even if that fails.
    if (me.data) {
      api
        .PATCH("/api/v1/me/", { body: { language: code } })
        .then(({ data }) => queryClient.setQueryData(["me"], data))
        .catch(() => undefined);
    }
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon size="lg" aria-label={t("language")}>
          <Icon name="globe" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(LANGUAGES) as LanguageCode[]).map((code) => (
          <Menu.Item key={code} lang={code} rightSection={code === language ? <Icon name="check" size={16} /> : null} onClick={() => choose(code)}>
            {LANGUAGES[code]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

export function SchemeMenu() {
  const { t } = useTexts();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon size="lg" aria-label={t("scheme")}>
          <Icon name={SCHEMES[colorScheme]} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(SCHEMES) as MantineColorScheme[]).map((scheme) => (
          <Menu.Item
            key={scheme}
            leftSection={<Icon name={SCHEMES[scheme]} size={16} />}
            rightSection={scheme === colorScheme ? <Icon name="check" size={16} /> : null}
            onClick={() => setColorScheme(scheme)}
          >
            {t(`scheme.${scheme}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
