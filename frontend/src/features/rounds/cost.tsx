import { Alert, List, Table, Text } from "@mantine/core";
import type { Missing, RecipeEstimate } from "@/api/training-types";
import { Icon } from "@/components/icons";
import { useNames } from "@/components/state-badge";
import { timeSpan } from "@/lib/format";
import { useTexts } from "./texts";

const GAPS = ["no_policy", "no_prompts", "no_demonstrations", "no_rankings", "no_reward_model", "no_judge", "no_room", "few_prompts", "few_prompts_to_answer", "few_heldout_prompts", "no_valid_prompts", "few_labelers", "long_answers"] as const;
const BASES = { people: "people", "earlier runs of this project": "earlier" } as const;

function Gap({ gap }: { gap: Missing }) {
  const { t, language } = useTexts();
  const known = GAPS.find((code) => code === gap.code);
  // The server's sentence has the numbers; the translation says what it is about and what to do.
  if (language === "en" || !known) return <>{gap.message} <b>{gap.remedy}</b></>;
  const [first = "", second = ""] = gap.message.match(/\d+/g) ?? [];
  const setting = /\w+\.\w+/.exec(gap.remedy)?.[0] ?? "";
  const most = /\d+/.exec(gap.remedy)?.[0] ?? "";
  return <>{t(`gap.${known}`, { first, second, setting, most })}</>;
}

/** What a recipe lacks: what stops it, or what will only be measured worse. */
export function Gaps({ missing, isBlocking }: { missing: Missing[]; isBlocking: boolean }) {
  const { t } = useTexts();
  const gaps = missing.filter(({ blocking }) => blocking === isBlocking);
  if (gaps.length === 0) return null;
  return (
    <Alert role="note" color={isBlocking ? "red" : "yellow"} icon={<Icon name="warning" />} title={t(isBlocking ? "missing.blocking" : "missing.thin")}>
      <List size="sm" spacing={4}>{gaps.map((gap) => <List.Item key={gap.code}><Gap gap={gap} /></List.Item>)}</List>
    </Alert>
  );
}

/** Machine time by step, and from what it is known. */
export function Cost({ estimate }: { estimate: RecipeEstimate["estimate"] }) {
  const { t, language } = useTexts();
  const names = useNames();
  return (
    <div className="launch-cost">
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("cost.step")}</Table.Th>
            <Table.Th ta="right">{t("cost.time")}</Table.Th>
            <Table.Th>{t("cost.basis")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {estimate.steps.map(({ step, seconds, basis }) => (
            <Table.Tr key={step}>
              <Table.Td>{names.step(step)}</Table.Td>
              <Table.Td ta="right">{seconds === null ? "–" : timeSpan(seconds, language)}</Table.Td>
              <Table.Td>{t(`basis.${BASES[basis as "people"] ?? "starter"}`)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Text size="sm" mt="xs" className="num">{t("cost.total", { time: timeSpan(estimate.total_seconds, language) })}</Text>
    </div>
  );
}
