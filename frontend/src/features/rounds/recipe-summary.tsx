import { Button, Modal } from "@mantine/core";
import { useState } from "react";
import type { Round } from "@/api/training-types";
import type { JsonObject } from "@/api/types";
import { Facts } from "@/components/facts";
import { stepsOf } from "./recipe-form";
import { useTexts } from "./texts";

/** What the round was asked to do, in short, and whole on demand. */
export function RecipeSummary({ round }: { round: Round }) {
  const { t } = useTexts();
  const [isOpen, setOpen] = useState(false);
  const recipe = round.recipe as JsonObject;
  const steps = stepsOf(recipe);
  const value = (name: string) => String(recipe[name] ?? "–");
  return (
    <div className="recipe-summary">
      <Facts
        facts={[
          steps.includes("sampling") ? { label: t("field.prompts"), value: value("prompts") } : null,
          steps.includes("sampling") ? { label: t("field.k"), value: value("k") } : null,
          steps.includes("ranking") ? { label: t("field.overlap"), value: value("overlap") } : null,
          { label: t("field.kl_budget"), value: value("kl_budget") },
        ]}
      />
      <Button variant="subtle" color="gray" size="compact-sm" mt="xs" onClick={() => setOpen(true)}>{t("recipe.show")}</Button>
      <Modal opened={isOpen} onClose={() => setOpen(false)} title={t("recipe")} size="lg">
        <pre className="code-block" tabIndex={0}>{JSON.stringify(recipe, null, 2)}</pre>
      </Modal>
    </div>
  );
}
