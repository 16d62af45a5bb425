/** Addresses and program lines for the rows of a snapshot. Pure. */

export const SPLITS = ["train", "valid", "heldout"] as const;
export type SplitName = (typeof SPLITS)[number];

export function exportUrl(snapshot: string, format: string, split?: SplitName): string {
  return `/api/v1/snapshots/${snapshot}/export/?format=${format}${split ? `&split=${split}` : ""}`;
}

export interface Counts extends Record<SplitName, number> {
  total: number;
  labelers: number | null;
  leftOut: number;
  promptsOut: { near: number; cap: number; pii: number };
}

const numbers = (value: unknown) => (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
const number = (value: unknown) => (typeof value === "number" ? value : 0);

/** {"rows": {"train": 3}, "total": 4, "labelers": 2} with zeros where there is nothing. */
export function countsOf(raw: Record<string, unknown>): Counts {
  const rows = numbers(raw["rows"]);
  const prompts = numbers(raw["prompts_left_out"]);
  return {
    train: number(rows["train"]),
    valid: number(rows["valid"]),
    heldout: number(rows["heldout"]),
    total: number(raw["total"]),
    labelers: typeof raw["labelers"] === "number" ? raw["labelers"] : null,
    leftOut: Object.values(numbers(raw["left_out"])).reduce((sum: number, count) => sum + number(count), 0),
    promptsOut: { near: number(prompts["near_duplicate"]), cap: number(prompts["owner_cap"]), pii: number(prompts["pii"]) },
  };
}

/** Lines that fetch a format with a token that may do `export:read`. */
export function snippets(origin: string, snapshot: string, format: string): { curl: string; python: string } {
  const url = origin + exportUrl(snapshot, format, "train");
  return {
    curl: `curl -H "Authorization: Bearer $PRECEPTOR_TOKEN" \\\n  "${url}" -o ${format}-train.jsonl`,
    python: [
      "# The rows to train on, which curl has fetched; datasets calls every single file \"train\"",
      "from datasets import load_dataset",
      "",
      `rows = load_dataset("json", data_files="${format}-train.jsonl", split="train")`,
    ].join("\n"),
  };
}
