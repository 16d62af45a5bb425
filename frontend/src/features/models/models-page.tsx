import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function ModelsPage() {
  const { t } = useTexts();
  return <Page title={t("models.title")}>{null}</Page>;
}
