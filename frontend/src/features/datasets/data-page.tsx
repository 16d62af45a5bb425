import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function DataPage() {
  const { t } = useTexts();
  return <Page title={t("data.title")}>{null}</Page>;
}
