/** Rows of numbers, one a step, as lines of a chart. Pure. */

export interface Row {
  step: number;
  values: Record<string, number | null>;
}

export interface Series {
  x: number[];
  y: number[];
}

/** Rows by step; a later row of a step replaces the earlier one. */
export function mergeRows<R extends Row>(old: R[], more: R[]): R[] {
  // All rows anew: another attempt has gone back to its checkpoint.
  if ((more[0]?.step ?? Infinity) <= (old[0]?.step ?? -1)) return more;
  const last = old.at(-1)?.step ?? -1;
  if (more.every(({ step }, index) => step > (index === 0 ? last : (more[index - 1]?.step ?? -1)))) return [...old, ...more];
  const byStep = new Map([...old, ...more].map((row) => [row.step, row]));
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

/** The points of one number; steps that lack it are left out. */
export function seriesOf(rows: Row[], name: string): Series {
  const x: number[] = [];
  const y: number[] = [];
  for (const { step, values } of rows) {
    const value = values[name];
    if (typeof value !== "number") continue;
    x.push(step);
    y.push(value);
  }
  return { x, y };
}

/** Scores by distance from the reference, ascending; distance is the square root of kl (2210.10760, figure 1). */
export function byDistance(rows: Row[], group: string): { x: number[]; lines: { name: string; values: (number | null)[] }[] } {
  const points = rows
    .flatMap(({ values }) => {
      const kl = values[`${group}/kl`];
      return typeof kl === "number" ? [{ d: Math.sqrt(Math.max(kl, 0)), values }] : [];
    })
    .sort((a, b) => a.d - b.d);
  const lines = ["score", "judge_score"].map((name) => ({ name, values: points.map(({ values }) => values[`${group}/${name}`] ?? null) }));
  return { x: points.map(({ d }) => d), lines: lines.filter(({ values }) => values.some((value) => value !== null)) };
}

/** Exponential moving average, corrected for its start. `weight` 0: as it is; near 1: very smooth. */
export function smooth(values: number[], weight: number): number[] {
  let average = 0;
  let mass = 0;
  return values.map((value) => {
    average = average * weight + value * (1 - weight);
    mass = mass * weight + (1 - weight);
    return average / mass;
  });
}

/** The names that occur, by what stands before the slash: {ppo: ["ppo/score", ...]}. */
export function groupsOf(rows: Row[]): Map<string, string[]> {
  const names = new Set(rows.flatMap(({ values }) => Object.keys(values)));
  const groups = new Map<string, string[]>();
  for (const name of [...names].sort()) {
    const [group = ""] = name.includes("/") ? name.split("/") : [];
    if (group) groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return groups;
}

/** What one looks at first, by kind of run. */
export const KEY_METRICS: Record<string, string[]> = {
  pretrain: ["pretrain/loss", "pretrain/valid_bits_per_byte"],
  sft: ["sft/loss", "sft/valid_nll"],
  reward: ["reward/accuracy", "reward/valid_accuracy", "reward/loss"],
  ppo: ["ppo/score", "ppo/judge_score", "ppo/kl", "ppo/response_tokens", "ppo/entropy"],
  dpo: ["dpo/loss", "dpo/valid_accuracy", "dpo/kl"],
  rloo: ["rloo/score", "rloo/judge_score", "rloo/kl", "rloo/response_tokens", "rloo/entropy"],
};

/** A table of all numbers for a spreadsheet. */
export function toCsv(rows: Row[]): string {
  const names = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))].sort();
  const lines = rows.map(({ step, values }) => [step, ...names.map((name) => values[name] ?? "")].join(","));
  return [["step", ...names].join(","), ...lines, ""].join("\n");
}
