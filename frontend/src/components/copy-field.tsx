import { Button, CopyButton, Group, TextInput } from "@mantine/core";
import { useTexts } from "@/components/texts";

/** A value that is shown once, with a button that copies it. */
export function CopyField({ value, label }: { value: string; label: string }) {
  const { t } = useTexts();
  return (
    <Group align="flex-end" gap="xs" wrap="nowrap">
      <TextInput label={label} value={value} readOnly flex={1} className="mono-input" onFocus={(e) => e.currentTarget.select()} />
      <CopyButton value={value}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {copied ? t("copied") : t("copy")}
          </Button>
        )}
      </CopyButton>
    </Group>
  );
}
