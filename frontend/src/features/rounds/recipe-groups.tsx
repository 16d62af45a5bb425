import { Checkbox, Collapse, Group, NativeSelect, Table, Text, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { api, body } from "@/api/client";
import type { PresetValue, RecipeDefaults, RecipeField, RecipeFields } from "@/api/training-types";
import type { Json, JsonObject } from "@/api/types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { useCatalogue } from "@/lib/catalogue";
import { algorithmOf, differences, inForce, partOf, STEPS, stepsOf, withPreset, withSetting, withStep, written, type Stage } from "./recipe-form";
import { SettingInput } from "./setting-input";
import { useSource } from "./sources";
import { useTexts } from "./texts";

export type RecipeName = "demonstrations" | "prompts" | "k" | "overlap" | "eval_prompts" | "comparisons" | "kl_budget" | "min_reward_accuracy" | "min_heldout" | "seed";

export interface GroupProps {
  recipe: JsonObject;
  fields: RecipeFields;
  presets: RecipeDefaults["presets"];
  refused: Record<string, string>;
  onChange: (recipe: JsonObject) => void;
}

export function StepChoice({ recipe, onChange }: GroupProps) {
  const { t } = useTexts();
  const names = useNames();
  const chosen = stepsOf(recipe);
  return (
    <fieldset className="launch-steps">
      <legend>{t("launch.steps")}</legend>
      {STEPS.map((step) => (
        <Checkbox key={step} label={names.step(step)} checked={chosen.includes(step)} onChange={(e) => onChange(withStep(recipe, step, e.currentTarget.checked))} />
      ))}
    </fieldset>
  );
}

/** Numbers that stand directly in the recipe. */
export function RecipeNumbers({ names, recipe, fields, refused, onChange }: GroupProps & { names: readonly RecipeName[] }) {
  const { t } = useTexts();
  return (
    <div className="launch-fields">
      {names.map((name) => {
        const field = fields.recipe.find((one) => one.name === name);
        if (!field) return null;
        return (
          <SettingInput
            key={name}
            field={{ ...field, unit: "", nullable: false }}
            label={t(`field.${name}`)}
            help={t(`field-help.${name}`)}
            value={(recipe[name] ?? undefined) as Json | undefined}
            placeholder={field.nullable ? t("no-limit") : undefined}
            error={refused[name]}
            onChange={(value) => onChange({ ...recipe, [name]: value ?? null })}
          />
        );
      })}
    </div>
  );
}

const number = (name: string, type: "int" | "float", min: number, max: number, source: string): RecipeField => ({ name, type, nullable: false, default: null, min, max, choices: null, unit: "", help: "", source });
const SAMPLING = [number("max_tokens", "int", 1, 131_072, "ours: suits the starter's answers"), number("temperature", "float", 0, 2, "ours: the policy itself"), number("top_p", "float", 0, 1, "1904.09751"), number("top_k", "int", 0, 1_048_576, "1805.04833")];

export function Sampling({ recipe, refused, onChange }: GroupProps) {
  const { t } = useTexts();
  const params = partOf(recipe, "sampling");
  return (
    <>
      <div className="launch-fields">
        {SAMPLING.map((field) => (
          <SettingInput key={field.name} field={field} label={t(`sampling.${field.name as "top_p"}`)} value={params[field.name]} error={refused[`sampling.${field.name}`]} onChange={(value) => onChange(withSetting(recipe, "sampling", field.name, value))} />
        ))}
      </div>
      {refused["sampling"] ? <Text size="sm" c="red">{refused["sampling"]}</Text> : null}
    </>
  );
}

/** How the policy learns, as the recipe's field offers it. */
export function AlgorithmChoice({ recipe, fields, refused, onChange }: GroupProps) {
  const { t } = useTexts();
  const choices = fields.recipe.find((one) => one.name === "policy_algorithm")?.choices ?? [];
  return (
    <NativeSelect
      label={t("field.policy_algorithm")}
      value={algorithmOf(recipe)}
      error={refused["policy_algorithm"]}
      onChange={(e) => onChange({ ...recipe, policy_algorithm: e.currentTarget.value })}
      data={choices.map((value) => ({ value, label: t(`algorithm.${value as "ppo"}`) }))}
      maw={400}
      mb="md"
    />
  );
}

/** A reward model of the project that PPO and RLOO do not learn from; none where nothing is chosen. */
export function JudgeChoice({ project, recipe, refused, onChange }: GroupProps & { project: string }) {
  const { t } = useTexts();
  const versions = useQuery({
    queryKey: ["models", project],
    queryFn: () => body(api.GET("/api/v1/projects/{project_id}/models/", { params: { path: { project_id: project } } })),
  });
  const rewards = (versions.data ?? []).filter(({ kind }) => kind === "reward");
  return (
    <NativeSelect
      label={t("field.judge")}
      description={t("field-help.judge")}
      value={String(recipe["judge"] ?? "")}
      error={refused["judge"]}
      onChange={(e) => onChange({ ...recipe, judge: e.currentTarget.value || null })}
      data={[{ value: "", label: t("judge.none") }, ...rewards.map(({ id, name }) => ({ value: id, label: name }))]}
      maw={400}
      mb="md"
    />
  );
}

const loadChinese = (): Promise<{ default: Record<string, string> }> => import("./locales/settings.zh-Hans.json");

/** What a preset sets, and from where: papers, or a reason of our own. */
function PresetValues({ values }: { values: PresetValue[] }) {
  const { t } = useTexts();
  const inWords = useSource();
  return (
    <div className="launch-cost">
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("preset.setting")}</Table.Th>
            <Table.Th ta="right">{t("preset.value")}</Table.Th>
            <Table.Th>{t("preset.source")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {values.map(({ name, value, source }) => (
            <Table.Tr key={name}>
              <Table.Td>{name}</Table.Td>
              <Table.Td ta="right" className="num">{written(value as Json)}</Table.Td>
              <Table.Td>{inWords(source)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text size="xs" c="dimmed" mt={6}>{t("preset.abbreviations")}</Text>
    </div>
  );
}

function Unfold({ isOpen, onToggle, children }: { isOpen: boolean; onToggle: () => void; children: ReactNode }) {
  return <UnstyledButton className="launch-more" onClick={onToggle} aria-expanded={isOpen}><Icon name={isOpen ? "chevron" : "right"} size={16} /> {children}</UnstyledButton>;
}

interface StageFieldProps {
  stage: Stage;
  field: RecipeField;
  recipe: JsonObject;
  values: PresetValue[];
  chinese: Record<string, string> | null;
  error?: string;
  onChange: (recipe: JsonObject) => void;
}

/** A setting that may differ from the preset; empty, it shows what holds then, and where that comes from. */
function StageField({ stage, field, recipe, values, chinese, error, onChange }: StageFieldProps) {
  const { t, sentences } = useTexts();
  const { name } = field;
  const { value, source, isRounds } = inForce(recipe, stage, field, values);
  const help = chinese?.[`${stage}.${name}`] ?? chinese?.[name] ?? field.help;
  return (
    <SettingInput
      field={{ ...field, source: isRounds ? t(`of-round.${name as "kl_budget"}`) : source }}
      label={name}
      help={name === "kl_budget" ? sentences(help, t("kl-budget.smaller")) : help}
      value={partOf(recipe, stage)[name]}
      error={error}
      placeholder={typeof value === "boolean" ? t(value ? "yes" : "no") : written(value)}
      onChange={(next) => onChange(withSetting(recipe, stage, name, next))}
    />
  );
}

/** A stage's preset with where its values come from, and behind a button everything that may differ from it. */
export function StageSettings({ stage, recipe, fields, presets, refused, onChange }: GroupProps & { stage: Stage }) {
  const { t } = useTexts();
  const [isOpen, setOpen] = useState(false);
  const [isTold, setTold] = useState(false);
  const chinese = useCatalogue(loadChinese);
  const settings = partOf(recipe, stage);
  const names = Object.keys(presets);
  const preset = String(settings["preset"] ?? names[0]);
  const values = presets[preset]?.[stage] ?? [];
  const changed = differences(recipe, stage);
  return (
    <div className="launch-stage">
      <Group align="flex-end" gap="md">
        <NativeSelect label={t(`stage.${stage}`)} value={preset} onChange={(e) => onChange(withPreset(recipe, stage, e.currentTarget.value))} data={[...new Set([...names, preset])].map((value) => ({ value, label: value }))} w={230} />
        <Unfold isOpen={isOpen} onToggle={() => setOpen(!isOpen)}>{t("advanced")}{changed > 0 ? ` (${t("advanced.changed", { count: changed })})` : ""}</Unfold>
        {values.length > 0 ? <Unfold isOpen={isTold} onToggle={() => setTold(!isTold)}>{t("preset.told", { count: values.length })}</Unfold> : null}
      </Group>
      {refused[stage] ? <Text size="sm" c="red" mt={6}>{refused[stage]}</Text> : null}
      <Collapse expanded={isTold}>{isTold ? <PresetValues values={values} /> : null}</Collapse>
      <Collapse expanded={isOpen}>
        {isOpen ? (
          <div className="launch-fields is-advanced" lang={chinese ? "zh-Hans" : "en"}>
            <Text size="sm" className="launch-empty">{t("advanced.empty")}</Text>
            {fields[stage].map((field) => (
              <StageField key={`${preset} ${field.name}`} stage={stage} field={field} recipe={recipe} values={values} chinese={chinese} error={refused[`${stage}.${field.name}`]} onChange={onChange} />
            ))}
          </div>
        ) : null}
      </Collapse>
    </div>
  );
}
