import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function RoundPage() {
  const { t } = useTexts();
  return <Page title={t("round.title")}>{null}</Page>;
}
