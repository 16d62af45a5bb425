import { Page } from "@/components/page";
import { useTexts } from "./texts";

export function MembersPage() {
  const { t } = useTexts();
  return <Page title={t("members.title")}>{null}</Page>;
}
