import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function RoundsPage() {
  const { t } = useTexts();
  return <Page title={t("rounds.title")}>{null}</Page>;
}
