import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function QualityPage() {
  const { t } = useTexts();
  return <Page title={t("quality.title")}>{null}</Page>;
}
