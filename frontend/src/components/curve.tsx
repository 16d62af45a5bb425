import { Skeleton, Text } from "@mantine/core";
import { lazy, Suspense } from "react";
import { useTexts } from "@/components/texts";

export interface Line {
  name: string;
  values: (number | null)[];
}

export interface CurveProps {
  title: string;
  x: number[]; // One per point, ascending; a step as a rule.
  lines: Line[];
  xName?: string;
  height?: number;
}

const Plot = lazy(async () => ({ default: (await import("@/components/curve-plot")).CurvePlot }));

/** A line chart of numbers that grow while one looks. The drawing is fetched only where a chart is shown. */
export function Curve(props: CurveProps) {
  const { t } = useTexts();
  const height = props.height ?? 190;
  const last = props.lines.map(({ name, values }) => `${name} ${values.at(-1) ?? "–"}`).join(", ");
  return (
    <figure className="curve" role="img" aria-label={`${props.title}: ${last}`}>
      <figcaption>{props.title}</figcaption>
      {props.x.length === 0 ? (
        <Text size="sm" c="dimmed" h={height}>{t("chart.empty")}</Text>
      ) : (
        <Suspense fallback={<Skeleton height={height} />}>
          <Plot {...props} xName={props.xName ?? t("chart.step")} height={height} />
        </Suspense>
      )}
    </figure>
  );
}
