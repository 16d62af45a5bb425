/** Who is signed in, and the project they look at: what nearly every page asks. */

import { QueryClient, useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { api, body } from "@/api/client";
import { asApiError } from "@/api/errors";
import type { Role } from "@/api/types";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => asApiError(error).isPassing && count < 2,
    },
  },
});

export function useMe() {
  return useQuery({ queryKey: ["me"], queryFn: () => body(api.GET("/api/v1/me/")), staleTime: 300_000 });
}

export function useProjects() {
  return useQuery({ queryKey: ["projects"], queryFn: () => body(api.GET("/api/v1/projects/")) });
}

export function useProject(id: string) {
  return useQuery({
    queryKey: ["project", id],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/", { params: { path: { project_id: id } } })),
  });
}

/** The id in the address: pages under /p/:project have one. */
export function useProjectId(): string {
  return useParams()["project"] ?? "";
}

const RANK: Record<Role, number> = { labeler: 0, reviewer: 1, admin: 2 };

export function isAtLeast(role: Role | undefined, wanted: Role): boolean {
  return role !== undefined && RANK[role] >= RANK[wanted];
}

/** The role of whoever is signed in, in the project of the address. */
export function useRole(): Role | undefined {
  const project = useProjectId();
  return useMe().data?.memberships.find((membership) => membership.project.id === project)?.role;
}
