/** What a person can do next in a project: the one primary button of its page. Pure. */

import type { ProjectDetail, Role } from "@/api/types";

export type NextStep = "label" | "follow" | "import" | "launch" | "data" | "review" | "retry" | "none";

const PEOPLE = new Set(["demonstrating", "ranking"]);

type Situation = Pick<ProjectDetail, "counts" | "round" | "current_policy">;

function forAdmin({ counts, round, current_policy }: Situation): NextStep {
  // A round starts from a model; data alone can be looked at and exported.
  if (!round && !current_policy) return counts.prompts === 0 ? "import" : "data";
  if (!round) return counts.prompts === 0 ? "import" : "launch";
  if (round.state === "review") return "review";
  if (round.state === "failed") return "retry";
  return PEOPLE.has(round.state) && counts.open_tasks > 0 ? "label" : "follow";
}

export function nextStep(role: Role | undefined, project: Situation): NextStep {
  if (role === "admin") return forAdmin(project);
  if (project.counts.open_tasks > 0) return "label";
  return role === "reviewer" && project.round ? "follow" : "none";
}

export function pathOf(step: NextStep, project: string, round: string | undefined): string {
  const paths: Record<NextStep, string> = {
    label: "label", import: "prompts?import=1", launch: "rounds?launch=1", data: "data", none: "",
    follow: `rounds/${round ?? ""}`, review: `rounds/${round ?? ""}`, retry: `rounds/${round ?? ""}`,
  };
  return `/p/${project}/${paths[step]}`;
}
