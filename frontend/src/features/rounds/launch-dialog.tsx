import { Modal } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { guarded } from "@/components/guarded";
import { QueryState } from "@/components/query-state";
import { LaunchForm } from "./launch-form";
import { useTexts } from "./texts";

/** The dialog that launches a round, filled with what fits the project. */
export function LaunchDialog({ project, onClose }: { project: string; onClose: () => void }) {
  const { t } = useTexts();
  const isSmall = useMediaQuery("(max-width: 48em)");
  const defaults = useQuery({
    queryKey: ["recipe-defaults", project],
    staleTime: 0,
    gcTime: 0,
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/recipes/defaults/", { params: { path: { project_id: project } } })),
  });
  return (
    <Modal opened onClose={onClose} title={t("launch.title")} size={860} fullScreen={isSmall} {...guarded(false)}>
      <QueryState query={defaults}>{(data) => <LaunchForm project={project} defaults={data} onClose={onClose} />}</QueryState>
    </Modal>
  );
}
