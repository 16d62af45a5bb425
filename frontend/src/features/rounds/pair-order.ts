/** In which order pairs of answers are looked at. Pure. */

import type { Pair } from "@/api/training-types";

export type PairOrder = "asked" | "better" | "worse" | "kl";

const gain = ({ candidate, current }: Pair) => (candidate.reward === null || current.reward === null ? null : candidate.reward - current.reward);

const KEYS: Record<Exclude<PairOrder, "asked">, (pair: Pair) => number | null> = {
  better: gain,
  worse: (pair) => {
    const value = gain(pair);
    return value === null ? null : -value;
  },
  kl: ({ kl }) => kl,
};

/** Largest first; pairs without the number come last, in their own order. */
export function sortPairs(pairs: Pair[], order: PairOrder): Pair[] {
  if (order === "asked") return pairs;
  const key = KEYS[order];
  return [...pairs].sort((a, b) => (key(b) ?? -Infinity) - (key(a) ?? -Infinity) || 0);
}
