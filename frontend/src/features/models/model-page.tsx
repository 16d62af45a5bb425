import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function ModelPage() {
  const { t } = useTexts();
  return <Page title={t("model.title")}>{null}</Page>;
}
