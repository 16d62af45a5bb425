import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function PromptsPage() {
  const { t } = useTexts();
  return <Page title={t("prompts.title")}>{null}</Page>;
}
