import { NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { useState } from "react";
import type { RecipeField } from "@/api/training-types";
import type { Json } from "@/api/types";
import { rangeProblem, valueOf } from "./recipe-form";
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

/** "2 – 9 completions" */
function useRange() {
  const { t } = useTexts();
  return (field: RecipeField) => {
    const { min, max, unit } = field;
    const show = (value: number) => (Math.abs(value) >= 1e7 ? value.toExponential(0) : String(value));
    const range = min !== null && max !== null ? `${show(min)} – ${show(max)}` : max !== null ? t("range.to", { max: show(max) }) : min !== null ? t("range.from", { min: show(min) }) : "";
    return [range, unit].filter(Boolean).join(" ");
  };
}

function useProblem(field: RecipeField, value: Json | undefined): string | undefined {
  const { t } = useTexts();
  const range = useRange();
  const problem = rangeProblem(field, value);
  return problem ? t(`problem.${problem}`, { range: range(field) }) : undefined;
}

/** Small floats are typed as 1e-4, which a number input takes badly. */
function SmallNumber({ field, value, onChange, ...rest }: Omit<SettingProps, "help"> & { description?: string }) {
  const [text, setText] = useState(value === undefined || value === null ? "" : String(value));
  return (
    <TextInput
      {...rest}
      inputMode="decimal"
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
        data={[{ value: "", label: placeholder ?? "" }, ...choices.map((choice) => ({ value: choice, label: field.type === "bool" ? t(choice === "true" ? "yes" : "no") : choice }))]}
      />
    );
  }
  if (field.type === "int" && (field.max ?? 0) <= 1e9) {
    return (
      <NumberInput
        {...common}
        value={typeof value === "number" ? value : ""}
        placeholder={placeholder}
        allowDecimal={false}
        clampBehavior="none"
        onChange={(typed) => onChange(valueOf(field, String(typed)))}
      />
    );
  }
  return <SmallNumber {...common} field={field} value={value} placeholder={placeholder} onChange={onChange} />;
}
