import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";

/** The labeler's last 50 answers, newest first. */
export function useMyWork(project: string) {
  return useQuery({
    queryKey: ["my-work", project],
    queryFn: async () => {
      const rows = await body(api.GET("/api/v1/assignments/", { params: { query: { project } } }));
      return rows.filter(({ state }) => state === "submitted" || state === "late" || state === "skipped");
    },
  });
}
