import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function OverviewPage() {
  const { t } = useTexts();
  return <Page title={t("overview.title")}>{null}</Page>;
}
