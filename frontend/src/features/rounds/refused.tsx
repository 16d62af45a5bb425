import { Alert, List } from "@mantine/core";
import { asApiError, type FieldProblem } from "@/api/errors";
import { ErrorPanel } from "@/components/error-panel";
import { Icon } from "@/components/icons";
import { refusedFields, STAGES, withoutPath } from "./recipe-form";
import type { RecipeName } from "./recipe-groups";
import { useTexts } from "./texts";

const CODES = ["empty", "out_of_range", "invalid", "unknown_field"] as const;

/** What is wrong with a field, in the language of the page. */
export function useRefusal(): (problem: FieldProblem) => string {
  const { t, language } = useTexts();
  return ({ code, message }) => {
    const known = CODES.find((one) => one === code);
    if (known === "empty") return t("refused.empty");
    if (language === "en" || !known) return withoutPath(message);
    // The server's sentence has the range.
    const range = known === "out_of_range" ? / from (.+) to (\S+)\.$/.exec(message) : null;
    return range ? t("problem.range", { range: `${(range[1] ?? "").replace("above 0", "> 0")} – ${range[2] ?? ""}` }) : t(`refused.${known}`);
  };
}

/** "PPO preset: lr", as the form calls the field. */
function useLabel(): (field: string) => string {
  const { t } = useTexts();
  return (field) => {
    const [part = "", setting] = field.split(".");
    const stage = STAGES.find((one) => one === part);
    if (stage) return [t(`stage.${stage}`), setting].filter(Boolean).join(": ");
    if (part === "sampling") return setting ? t(`sampling.${setting as "top_p"}`) : t("launch.sampling");
    return t(`field.${part as RecipeName}`);
  };
}

/** Why a recipe was refused: every field by the name that it has in the form. */
export function Refused({ error }: { error: unknown }) {
  const { t } = useTexts();
  const say = useRefusal();
  const label = useLabel();
  const problem = asApiError(error);
  if (problem.code !== "bad_recipe") return <ErrorPanel error={error} />;
  return (
    <Alert color="red" variant="light" icon={<Icon name="warning" />} title={t("refused.title")} role="alert">
      <List size="sm">
        {Object.entries(refusedFields(problem, say)).map(([field, sentence]) => <List.Item key={field}><b>{label(field)}</b> – {sentence}</List.Item>)}
      </List>
    </Alert>
  );
}
