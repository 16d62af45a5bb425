import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function AnswerPage() {
  const { t } = useTexts();
  return <Page title={t("my-work.title")}>{null}</Page>;
}
