import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function RunPage() {
  const { t } = useTexts();
  return <Page title={t("run.title")}>{null}</Page>;
}
