import { NativeSelect, TextInput } from "@mantine/core";
import { useState } from "react";
import type { RecipeField } from "@/api/training-types";
import type { Json } from "@/api/types";
import { useCatalogue } from "@/lib/catalogue";
import { boundsOf, rangeProblem, valueOf, written } from "./recipe-form";
import { useSource } from "./sources";
import { useTexts } from "./texts";

interface SettingProps {
  field: RecipeField;
  label: string;
  help?: string;
  value: Json | undefined;
  placeholder?: string;
  error?: string;
  onChange: (value: Json | undefined) => void;
}

const loadUnits = (): Promise<{ default: Record<string, string> }> => import("./locales/units.zh-Hans.json");

/** "2 – 9 completions" */
function useRange() {
  const { t } = useTexts();
  const units = useCatalogue(loadUnits);
  return (field: RecipeField) => {
    const { min, max } = boundsOf(field);
    const range = min !== null && max !== null ? `${written(min)} – ${written(max)}` : max !== null ? t("range.to", { max: written(max) }) : min !== null ? t("range.from", { min: written(min) }) : "";
    const unit = units?.[field.unit] ?? field.unit;
    return [range, unit, field.nullable ? t("range.null") : ""].filter(Boolean).join(" ");
  };
}

function useProblem(field: RecipeField, value: Json | undefined): string | undefined {
  const { t } = useTexts();
  const range = useRange();
  const problem = rangeProblem(field, value);
  return problem ? t(problem === "number" && field.nullable ? "problem.number-or-null" : `problem.${problem}`, { range: range(field) }) : undefined;
}

/** A text field keeps what is typed: number inputs make 17 of 1.7, and cannot take 1e-4. */
function NumberText({ field, value, onChange, ...rest }: Omit<SettingProps, "help"> & { description?: string }) {
  const [text, setText] = useState(value === undefined ? "" : written(value));
  return (
    <TextInput
      {...rest}
      inputMode={field.type === "int" ? "numeric" : "decimal"}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        onChange(valueOf(field, event.currentTarget.value));
      }}
    />
  );
}

/** One setting of a recipe, as its description says: a number with range, a choice, yes or no. */
export function SettingInput({ field, label, help, value, placeholder, error, onChange }: SettingProps) {
  const { t } = useTexts();
  const range = useRange();
  const inWords = useSource();
  const problem = useProblem(field, value);
  const source = field.source && t("source", { source: inWords(field.source) });
  const description = [help, range(field), source].filter(Boolean).join(" · ") || undefined;
  const common = { label, description, error: problem ?? error, size: "sm" as const };
  const choices = field.type === "bool" ? ["true", "false"] : field.choices;
  if (choices) {
    return (
      <NativeSelect
        {...common}
        value={value === undefined ? "" : String(value)}
        onChange={(event) => onChange(valueOf(field, event.currentTarget.value))}
        data={[{ value: "", label: t("unchanged", { value: placeholder ?? "" }) }, ...choices.map((choice) => ({ value: choice, label: field.type === "bool" ? t(choice === "true" ? "yes" : "no") : choice }))]}
      />
    );
  }
  return <NumberText {...common} field={field} value={value} placeholder={placeholder} onChange={onChange} />;
}
