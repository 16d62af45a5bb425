import { Drawer, Text } from "@mantine/core";
import { useProject } from "@/api/session";
import { Markdown } from "@/components/markdown";
import { QueryState } from "@/components/query-state";
import { useTexts } from "./texts";

/** The project's guidelines beside the work. */
export function Guidelines({ project, version, opened, onClose }: { project: string; version: number; opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const query = useProject(project);
  return (
    <Drawer opened={opened} onClose={onClose} position="right" size="lg" title={t("guidelines.title", { version })}>
      <QueryState query={query}>
        {({ guidelines, guideline_version }) => (
          <>
            {guideline_version > version ? <Text size="sm" c="dimmed" mb="sm">{t("guidelines.newer", { version: guideline_version })}</Text> : null}
            {guidelines.trim() ? <Markdown source={guidelines} /> : <Text c="dimmed">{t("guidelines.none")}</Text>}
          </>
        )}
      </QueryState>
    </Drawer>
  );
}
