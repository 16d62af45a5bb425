/** Which numbers of a version stand first. Pure. */

import type { Version } from "@/api/types";

const FIRST: Partial<Record<Version["kind"], string[]>> = {
  sft: ["sft/valid_nll", "sft/loss"],
  // The last batch alone is told only where nothing was held out.
  reward: ["reward/valid_accuracy", "reward/valid_ece", "reward/accuracy"],
  policy: ["ppo/final_score", "ppo/final_kl", "rloo/final_score", "rloo/final_kl", "dpo/valid_accuracy", "dpo/kl", "ppo/score", "ppo/kl"],
};
const MOST = 2;
const NAMES = ["final_score", "score", "final_kl", "kl", "valid_accuracy", "accuracy", "valid_ece", "valid_nll", "loss"] as const;
export type KeyMetric = (typeof NAMES)[number];

/** All numbers, nested objects flattened by dots. */
export function flat(metrics: Record<string, unknown>, before = ""): [string, number | string | boolean | null][] {
  return Object.entries(metrics).flatMap(([name, value]): [string, number | string | boolean | null][] => {
    const path = before + name;
    if (typeof value === "object" && value !== null) return flat(value as Record<string, unknown>, `${path}.`);
    return [[path, value as number | string | boolean | null]];
  });
}

/** [["valid_accuracy", 0.71], ...], at most two. */
export function keyMetrics(version: Pick<Version, "kind" | "metrics">): [KeyMetric, number][] {
  const known = new Map(flat(version.metrics));
  const wanted = FIRST[version.kind] ?? [];
  return wanted
    .flatMap((name): [KeyMetric, number][] => {
      const short = NAMES.find((one) => one === name.slice(name.indexOf("/") + 1));
      const value = known.get(name) ?? known.get(short ?? "");
      return short && typeof value === "number" ? [[short, value]] : [];
    })
    .slice(0, MOST);
}
