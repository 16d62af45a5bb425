import { AppShell, Center, Container, Loader } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Suspense, useEffect } from "react";
import { Outlet, useLocation, useNavigate } from "react-router";
import { whenSignedOut } from "@/api/client";
import { asApiError } from "@/api/errors";
import { queryClient, useMe, useProjectId } from "@/api/session";
import { Header } from "@/app/header";
import { Nav } from "@/app/nav";
import { useTexts } from "@/app/texts";
import { ErrorPanel } from "@/components/error-panel";
import { setLanguage } from "@/lib/i18n";

/** A session that ended sends to the sign-in page; what was typed stays in this browser. */
function useSignInWhenNeeded(): void {
  const navigate = useNavigate();
  useEffect(() => {
    whenSignedOut(() => {
      queryClient.clear();
      void navigate("/sign-in", { state: { ended: true } });
    });
  }, [navigate]);
}

function Content() {
  const me = useMe();
  const language = me.data?.language;
  useEffect(() => {
    if (language) setLanguage(language);
  }, [language]);

  if (me.data) {
    return (
      <Suspense fallback={<Center py={80}><Loader size="sm" /></Center>}>
        <Outlet />
      </Suspense>
    );
  }
  if (me.error && asApiError(me.error).status !== 401) {
    return (
      <Container size="sm" py="xl">
        <ErrorPanel error={me.error} onRetry={() => void me.refetch()} />
      </Container>
    );
  }
  return <Center py={80}><Loader size="sm" /></Center>;
}

/** Header, pages of the project on the left, content. The labeling page takes the whole width. */
export function Layout() {
  const { t } = useTexts();
  const project = useProjectId();
  const { pathname } = useLocation();
  const isWorking = /^\/p\/[^/]+\/(label|my-work\/.+)$/.test(pathname);
  const [isNavOpen, nav] = useDisclosure(false);
  useSignInWhenNeeded();

  const burger = !project ? "never" : isWorking ? "always" : "small";
  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !isNavOpen || !project, desktop: !project || (isWorking && !isNavOpen) } }}
    >
      <a href="#content" className="skip-link">
        {t("nav.skip")}
      </a>
      <AppShell.Header>
        <Header isNavOpen={isNavOpen} onToggleNav={nav.toggle} burger={burger} />
      </AppShell.Header>
      {project ? (
        <AppShell.Navbar>
          <Nav onChosen={nav.close} />
        </AppShell.Navbar>
      ) : null}
      <AppShell.Main id="content" tabIndex={-1}>
        <Content />
      </AppShell.Main>
    </AppShell>
  );
}
