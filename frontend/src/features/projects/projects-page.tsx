import { Badge, Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Link } from "react-router";
import { useMe, useProjects } from "@/api/session";
import type { Project } from "@/api/types";
import { EmptyState } from "@/components/empty-state";
import { Icon } from "@/components/icons";
import { Page } from "@/components/page";
import { QueryState } from "@/components/query-state";
import { RoundStateBadge } from "@/components/state-badge";
import { whole } from "@/lib/format";
import { NewProject } from "./new-project";
import { useTexts } from "./texts";
import "./projects.css";

function ProjectCard({ project }: { project: Project }) {
  const { t, language } = useTexts();
  const { counts, round } = project;
  return (
    <Link to={`/p/${project.id}`} className="panel project-card">
      <div className="project-card-head">
        <h2>{project.name}</h2>
        {project.is_demo ? <Badge variant="outline" color="gray">{t("demo")}</Badge> : null}
      </div>
      {project.description ? <Text size="sm" c="dimmed" className="clamp-2">{project.description}</Text> : null}
      <div className="project-card-now">
        {round ? (
          <>
            <span className="num">{t("round", { number: round.number })}</span> <RoundStateBadge state={round.state} />
          </>
        ) : (
          <Text size="sm" c="dimmed" component="span">{t("round.none")}</Text>
        )}
      </div>
      <dl className="project-counts num">
        {(["prompts", "demonstrations", "rankings", "versions"] as const).map((name) => (
          <div key={name}>
            <dd>{whole(counts[name], language)}</dd>
            <dt>{t(`count.${name}`)}</dt>
          </div>
        ))}
      </dl>
      <Text size="xs" c="dimmed">
        {project.current_policy ? t("policy", { name: project.current_policy.name }) : t("policy.none")}
        {counts.open_tasks > 0 ? ` · ${t("open-tasks", { count: counts.open_tasks })}` : ""}
      </Text>
    </Link>
  );
}

export function ProjectsPage() {
  const { t } = useTexts();
  const me = useMe().data;
  const projects = useProjects();
  const [isMaking, making] = useDisclosure(false);
  const open = me?.may_create_projects ? (
    <Button leftSection={<Icon name="plus" size={16} />} onClick={making.open}>{t("new")}</Button>
  ) : null;
  return (
    <Page title={t("projects.title")} actions={open}>
      <QueryState query={projects}>
        {(list) =>
          list.length === 0 ? (
            <EmptyState icon="overview" title={t("projects.none")} action={open}>
              {t(me?.may_create_projects ? "projects.none.admin" : "projects.none.text")}
            </EmptyState>
          ) : (
            <div className="card-grid">{list.map((project) => <ProjectCard key={project.id} project={project} />)}</div>
          )
        }
      </QueryState>
      {isMaking ? <NewProject onClose={making.close} /> : null}
    </Page>
  );
}
