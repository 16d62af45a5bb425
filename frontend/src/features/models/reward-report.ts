/** The report on a reward model, as its run's result carries it. Pure. */

export interface Measured {
  accuracy: number;
  error: number | null;
  pairs: number;
}

export interface Group extends Omit<Measured, "error"> {
  name: string;
  /** How often another labeler ordered such a pair alike; null where nobody else did, or nobody counted. */
  agreement: number | null;
}

export interface Report {
  facts: { name: (typeof FACTS)[number]; value: number }[];
  groups: { by: (typeof GROUPS)[number]; rows: Group[] }[];
  /** Pairs of one version's answers, by its id, and of two versions' (null). */
  sources: (Measured & { version: string | null })[];
  own: Measured | null;
  others: (Measured & { labelers: number }) | null;
  stated: number[];
  right: number[];
}

const FACTS = ["accuracy", "labeler_agreement", "attainable_accuracy", "prompt_blind_accuracy", "prompt_blind_pairs", "ece", "kendall_tau", "pairs"] as const;
const GROUPS = ["rank_distance", "labeler", "confidence"] as const;
const KEYS = { rank_distance: "distance", labeler: "labeler", confidence: "confidence" } as const;

type Row = Record<string, unknown>;
const rowsOf = (value: unknown): Row[] => (Array.isArray(value) ? (value as Row[]) : []);

const measured = (row: Row): Measured => ({
  accuracy: Number(row["accuracy"]),
  error: typeof row["accuracy_se"] === "number" ? row["accuracy_se"] : null,
  pairs: Number(row["pairs"]),
});

const groupOf = (name: string, row: Row): Group => ({
  name,
  accuracy: Number(row["accuracy"]),
  pairs: Number(row["pairs"]),
  agreement: typeof row["agreement"] === "number" ? row["agreement"] : null,
});

/**
 * Whether it is about as often right when each answer is read under another prompt: by half of what it is better than a coin,
 * or more. Such a model judges how answers are worded, not whether they do what was asked.
 */
export function ignoresPrompts(report: Report): boolean {
  const value = (name: (typeof FACTS)[number]) => report.facts.find((fact) => fact.name === name)?.value;
  const [right, blind] = [value("accuracy"), value("prompt_blind_accuracy")];
  return right !== undefined && blind !== undefined && right > 0.5 && blind - 0.5 >= 0.5 * (right - 0.5);
}

/** What there is to show; null where the run reported nothing. What is undefined (null) is left out. */
export function reportOf(result: unknown): Report | null {
  const report = (result as { report?: Row | null } | undefined)?.report;
  if (!report) return null;
  const bins = rowsOf(report["reliability"]);
  const others = report["heldout_labelers"] as Row | null | undefined;
  return {
    facts: FACTS.flatMap((name) => (typeof report[name] === "number" ? [{ name, value: report[name] }] : [])),
    groups: GROUPS.flatMap((by) => {
      const rows = rowsOf(report[`by_${by}`]).map((row) => groupOf(String(row[KEYS[by]]), row));
      return rows.length > 0 ? [{ by, rows }] : [];
    }),
    sources: rowsOf(report["by_source"]).map((row) => ({ version: row["version"] === null ? null : String(row["version"]), ...measured(row) })),
    own: typeof report["accuracy"] === "number" ? measured(report) : null,
    others: others ? { ...measured(others), labelers: Number(others["labelers"]) } : null,
    stated: bins.map((bin) => Number(bin["stated"])),
    right: bins.map((bin) => Number(bin["right"])),
  };
}
