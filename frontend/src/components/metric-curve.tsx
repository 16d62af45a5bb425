import { Popover, UnstyledButton } from "@mantine/core";
import type { Glossary, MetricRow } from "@/api/training-types";
import { Curve } from "@/components/curve";
import { Icon } from "@/components/icons";
import { useTexts } from "@/components/texts";
import { useCatalogue } from "@/lib/catalogue";
import { seriesOf, smooth } from "@/lib/series";

type Catalogue = Record<string, string[]>;
const loadChinese = (): Promise<{ default: Catalogue }> => import("./locales/metrics.zh-Hans.json");

/** [meaning, healthy]; numbers that several stages have in common stand there once. */
function meaningIn(catalogue: Catalogue | null, name: string): string[] | undefined {
  const short = name.slice(name.indexOf("/") + 1);
  return catalogue?.[name] ?? catalogue?.[name.replace("rloo/", "ppo/")] ?? catalogue?.[name.replace(/_\d+$/, "_*")] ?? catalogue?.[`*/${short}`];
}

function Meaning({ name, glossary }: { name: string; glossary: Glossary }) {
  const { t } = useTexts();
  const chinese = meaningIn(useCatalogue(loadChinese), name);
  const meaning = glossary[name];
  if (!meaning) return null;
  return (
    <Popover width={300} position="bottom-end" withArrow shadow="md">
      <Popover.Target>
        <UnstyledButton className="curve-help" aria-label={t("curve.help", { name })}><Icon name="help" size={16} /></UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown className="curve-meaning">
        <p lang={chinese ? "zh-Hans" : "en"}>{chinese?.[0] ?? meaning.help}</p>
        {meaning.unit ? <p><b>{t("curve.unit")}</b> <span lang="en">{meaning.unit}</span></p> : null}
        {meaning.healthy ? <p><b>{t("curve.healthy")}</b> <span lang={chinese ? "zh-Hans" : "en"}>{chinese?.[1] ?? meaning.healthy}</span></p> : null}
      </Popover.Dropdown>
    </Popover>
  );
}

/** The curve of one number of a run, with what it means. `weight` above 0 draws it smoothed. */
export function MetricCurve({ name, rows, glossary, weight = 0, height }: {
  name: string;
  rows: MetricRow[];
  glossary: Glossary;
  weight?: number;
  height?: number;
}) {
  const { x, y } = seriesOf(rows, name);
  const unit = glossary[name]?.unit;
  const title = unit ? `${name} (${unit})` : name;
  return (
    <div className="metric-curve">
      <Meaning name={name} glossary={glossary} />
      <Curve title={title} x={x} lines={[{ name: name.slice(name.indexOf("/") + 1), values: weight > 0 ? smooth(y, weight) : y }]} height={height} />
    </div>
  );
}
