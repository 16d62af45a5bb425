import { Badge, Tooltip } from "@mantine/core";
import { useTexts } from "@/components/texts";

/** The mark on everything that simulated labelers had a part in. */
export function SyntheticMark() {
  const { t } = useTexts();
  return (
    <Tooltip label={t("synthetic.help")}>
      <Badge variant="outline" color="gray">
        {t("synthetic")}
      </Badge>
    </Tooltip>
  );
}
