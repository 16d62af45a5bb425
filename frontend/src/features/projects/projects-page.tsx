import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function ProjectsPage() {
  const { t } = useTexts();
  return <Page title={t("projects.title")}>{null}</Page>;
}
