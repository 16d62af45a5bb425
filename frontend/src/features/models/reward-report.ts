/** The report on a reward model, as its run's result carries it. Pure. */

export interface Group {
  name: string;
  accuracy: number;
  pairs: number;
}

export interface Report {
  facts: { name: (typeof FACTS)[number]; value: number }[];
  groups: { by: (typeof GROUPS)[number]; rows: Group[] }[];
  stated: number[];
  right: number[];
}

const FACTS = ["accuracy", "labeler_agreement", "attainable_accuracy", "prompt_blind_accuracy", "ece", "kendall_tau", "pairs"] as const;
const GROUPS = ["rank_distance", "labeler", "confidence"] as const;
const KEYS = { rank_distance: "distance", labeler: "labeler", confidence: "confidence" } as const;

type Row = Record<string, unknown>;
const rowsOf = (value: unknown): Row[] => (Array.isArray(value) ? (value as Row[]) : []);

/** What there is to show; null where the run reported nothing. What is undefined (null) is left out. */
export function reportOf(result: unknown): Report | null {
  const report = (result as { report?: Row | null } | undefined)?.report;
  if (!report) return null;
  const bins = rowsOf(report["reliability"]);
  return {
    facts: FACTS.flatMap((name) => (typeof report[name] === "number" ? [{ name, value: report[name] }] : [])),
    groups: GROUPS.flatMap((by) => {
      const rows = rowsOf(report[`by_${by}`]).map((row) => ({ name: String(row[KEYS[by]]), accuracy: Number(row["accuracy"]), pairs: Number(row["pairs"]) }));
      return rows.length > 0 ? [{ by, rows }] : [];
    }),
    stated: bins.map((bin) => Number(bin["stated"])),
    right: bins.map((bin) => Number(bin["right"])),
  };
}
