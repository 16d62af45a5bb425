import { Alert, Badge, Button, Stack, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { isAtLeast, useProject, useProjectId } from "@/api/session";
import type { ProjectDetail } from "@/api/types";
import { Facts } from "@/components/facts";
import { Icon } from "@/components/icons";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { whole } from "@/lib/format";
import { Guidelines } from "./guidelines";
import { LiveRound } from "./live-round";
import { nextStep, pathOf } from "./next-step";
import { RecentEvents } from "./recent-events";
import { useTexts } from "./texts";
import "./projects.css";

function PrimaryButton({ project }: { project: ProjectDetail }) {
  const { t } = useTexts();
  const step = nextStep(project.role, project);
  if (step === "none") return null;
  return <Button size="md" component={Link} to={pathOf(step, project.id, project.round?.id)}>{t(`next.${step}`)}</Button>;
}

function Counts({ project }: { project: ProjectDetail }) {
  const { t, language } = useTexts();
  const { counts } = project;
  const count = (name: keyof typeof counts) => ({ label: t(`count.${name}`), value: whole(counts[name], language) });
  return (
    <section className="panel" aria-label={t("counts")}>
      <Facts
        facts={[
          { label: t("current-policy"), value: <PolicyLink project={project} /> },
          count("prompts"), count("open_tasks"), count("demonstrations"), count("rankings"), count("versions"),
        ]}
      />
    </section>
  );
}

function PolicyLink({ project }: { project: ProjectDetail }) {
  const { t } = useTexts();
  const policy = project.current_policy;
  if (!policy) return <>{t("policy.none")}</>;
  return isAtLeast(project.role, "reviewer") ? <Link to={`/p/${project.id}/models/${policy.id}`}>{policy.name}</Link> : <>{policy.name}</>;
}

function Overview({ project }: { project: ProjectDetail }) {
  const { t } = useTexts();
  return (
    <Page
      title={project.name}
      subtitle={project.description ? <span className="overview-description">{project.description}</span> : undefined}
      actions={<PrimaryButton project={project} />}
    >
      <Stack gap={22}>
        {project.is_demo ? (
          <Alert role="note" icon={<Icon name="help" />} title={<>{t("demo.title")} <Badge variant="outline" color="gray" ml={6}>{t("demo")}</Badge></>}>
            <Text size="sm">{t("demo.text")}</Text>
          </Alert>
        ) : null}
        <LiveRound project={project} />
        <Counts project={project} />
        <Guidelines project={project} />
        {project.role === "admin" ? (
          <section>
            <Title order={2} mb="sm">{t("events.title")}</Title>
            <RecentEvents project={project.id} />
          </section>
        ) : null}
      </Stack>
    </Page>
  );
}

export function OverviewPage() {
  const query = useProject(useProjectId());
  if (!query.data) return <div className="page"><QueryState query={query}>{() => null}</QueryState></div>;
  return <Overview project={query.data} />;
}
