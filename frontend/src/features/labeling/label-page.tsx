import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function LabelPage() {
  const { t } = useTexts();
  return <Page title={t("label.title")}>{null}</Page>;
}
