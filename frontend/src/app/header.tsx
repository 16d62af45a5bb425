import { ActionIcon, Burger, Button, Menu } from "@mantine/core";
import { Link, useNavigate } from "react-router";
import { useMe, useProjectId } from "@/api/session";
import type { Me } from "@/api/types";
import { LanguageMenu, SchemeMenu } from "@/app/preferences";
import { useSignOut } from "@/app/sign-out";
import { useTexts } from "@/app/texts";
import { Icon } from "@/components/icons";
import { Logo } from "@/components/logo";

function ProjectSwitch({ me }: { me: Me }) {
  const { t } = useTexts();
  const current = useProjectId();
  const name = me.memberships.find(({ project }) => project.id === current)?.project.name;
  return (
    <Menu position="bottom-start" width={280}>
      <Menu.Target>
        <Button variant="subtle" color="gray" size="compact-md" className="project-switch" aria-label={`${name ?? t("projects.all")}, ${t("projects.switch")}`} rightSection={<Icon name="chevron" size={16} />}>
          {name ?? t("projects.all")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {me.memberships.map(({ project }) => (
          <Menu.Item key={project.id} component={Link} to={`/p/${project.id}`} rightSection={project.id === current ? <Icon name="check" size={16} /> : null}>
            {project.name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component={Link} to="/">
          {t("projects.all")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function UserMenu({ me }: { me: Me }) {
  const { t } = useTexts();
  const navigate = useNavigate();
  const { signOut, dialog } = useSignOut(me.id);
  return (
    <>
      <Menu position="bottom-end" width={220}>
        <Menu.Target>
          <ActionIcon size="lg" aria-label={t("user.menu")}>
            <Icon name="user" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{me.display_name || me.username}</Menu.Label>
          <Menu.Item leftSection={<Icon name="settings" size={16} />} onClick={() => void navigate("/settings")}>
            {t("user.settings")}
          </Menu.Item>
          <Menu.Item onClick={signOut}>{t("user.sign-out")}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {dialog}
    </>
  );
}

export function Header({ isNavOpen, onToggleNav, burger }: { isNavOpen: boolean; onToggleNav: () => void; burger: "always" | "small" | "never" }) {
  const { t } = useTexts();
  const me = useMe().data;
  return (
    <div className="header">
      {burger === "never" ? null : (
        <Burger opened={isNavOpen} onClick={onToggleNav} size="sm" hiddenFrom={burger === "small" ? "sm" : undefined} aria-label={t("nav.open")} />
      )}
      <Link to="/" className="brand" aria-label="Preceptor">
        <Logo size={25} />
        <span className="brand-name">Preceptor</span>
      </Link>
      {me && me.memberships.length > 0 ? (
        <>
          <span className="header-slash wide-only">/</span>
          <ProjectSwitch me={me} />
        </>
      ) : null}
      <div className="header-end">
        <LanguageMenu />
        <SchemeMenu />
        {me ? <UserMenu me={me} /> : null}
      </div>
    </div>
  );
}
