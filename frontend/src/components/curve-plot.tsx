import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import type { CurveProps } from "@/components/curve";
import "uplot/dist/uPlot.min.css";
import "@/components/curve.css";

const COLOURS = ["--accent", "--mark", "--mantine-color-violet-5", "--mantine-color-green-6", "--mantine-color-pink-6"];

/** What stands in the legend: the value under the cursor, else the last one. */
function told(plot: uPlot, value: number | null | undefined, series: number): string {
  const values = Array.from<number | null | undefined>(plot.data[series] ?? []);
  const shown = value ?? values.findLast((one) => typeof one === "number");
  return typeof shown === "number" ? String(Number(shown.toPrecision(4))) : "–";
}

/** uPlot's own ticks have three decimals, and show a learning rate as a column of zeros. */
const ticks = (_: uPlot, values: number[]) =>
  values.map((value) => (value !== 0 && Math.abs(value) < 0.001 ? Number(value.toPrecision(3)).toExponential() : value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 4 })));

/** One value makes no line. */
const isAlone = (plot: uPlot, series: number): boolean => Array.from<number | null | undefined>(plot.data[series] ?? []).filter((one) => typeof one === "number").length === 1;

function options({ lines, xName, height }: CurveProps, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour("--mantine-color-dimmed"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: `11px ${style.getPropertyValue("--mantine-font-family")}`,
  };
  return {
    width,
    height: height ?? 190,
    scales: { x: { time: false } },
    cursor: { y: false, points: { size: 6 } },
    legend: { live: true },
    axes: [{ ...axis, space: 60, size: 30 }, { ...axis, size: 54, values: ticks }],
    series: [
      { label: xName, value: told },
      ...lines.map(({ name }, index) => ({
        label: name,
        stroke: colour(COLOURS[index % COLOURS.length] ?? "--accent"),
        width: 1.6,
        points: { show: isAlone, size: 6 },
        spanGaps: true,
        value: told,
      })),
    ],
  };
}

export function CurvePlot(props: CurveProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const scheme = useComputedColorScheme();
  const latest = useRef(props);
  const shape = `${scheme} ${props.height} ${props.xName} ${props.lines.map(({ name }) => name).join("|")}`;

  useEffect(() => {
    latest.current = props;
    plot.current?.setData([props.x, ...props.lines.map(({ values }) => values)]);
  }, [props]);

  // Drawn anew only when the lines or the colours change, not with every point.
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const now = latest.current;
    const made = new uPlot(options(now, element.clientWidth), [now.x, ...now.lines.map(({ values }) => values)], element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: now.height ?? 190 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  return <div ref={place} />;
}
