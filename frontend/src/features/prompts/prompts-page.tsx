import { Button, Checkbox, Group, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useState } from "react";
import { useSearchParams } from "react-router";
import { useProjectId, useRole } from "@/api/session";
import type { Split } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { Page } from "@/components/page";
import { AddPrompt } from "./add-prompt";
import { ImportDialog } from "./import-dialog";
import { PromptTable } from "./prompt-table";
import { useTexts } from "./texts";
import "./prompts.css";

const SPLITS = ["", "train", "valid", "heldout"] as const;

export function PromptsPage() {
  const { t } = useTexts();
  const project = useProjectId();
  const isAdmin = useRole() === "admin";
  const [address, setAddress] = useSearchParams();
  const [typed, setTyped] = useState("");
  const [search] = useDebouncedValue(typed.trim(), 350);
  const [split, setSplit] = useState<Split | "">("");
  const [isFlagged, setFlagged] = useState(false);
  const dialog = isAdmin ? (address.has("import") ? "import" : address.has("add") ? "add" : "") : "";
  const open = (name: string) => setAddress(name ? { [name]: "1" } : {}, { replace: true });
  return (
    <Page
      title={t("prompts.title")}
      subtitle={t("prompts.lead")}
      actions={
        isAdmin ? (
          <>
            <Button variant="default" onClick={() => open("add")}>{t("add")}</Button>
            <Button leftSection={<Icon name="upload" size={16} />} onClick={() => open("import")}>{t("import")}</Button>
          </>
        ) : null
      }
    >
      <Group mb="md" gap="sm">
        <TextInput type="search" aria-label={t("search")} placeholder={t("search")} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} w={300} maw="100%" />
        <SegmentedControl
          aria-label={t("split")}
          value={split}
          onChange={(value) => setSplit(value as Split | "")}
          data={SPLITS.map((value) => ({ value, label: value ? t(`split.${value}`) : t("split.all") }))}
        />
        <Checkbox label={t("pii.only")} checked={isFlagged} onChange={(e) => setFlagged(e.currentTarget.checked)} />
      </Group>
      <PromptTable key={`${project} ${search} ${split} ${isFlagged}`} project={project} search={search} split={split} isFlagged={isFlagged} onImport={isAdmin ? () => open("import") : undefined} />
      {dialog === "import" ? <ImportDialog project={project} onClose={() => open("")} /> : null}
      {dialog === "add" ? <AddPrompt project={project} onClose={() => open("")} /> : null}
    </Page>
  );
}
