import { useRef, useState } from "react";
import type { ImportReport } from "@/api/training-types";
import { uploadLines } from "@/api/upload";

export type ImportState =
  | { kind: "idle" }
  | { kind: "trying" | "writing"; share: number }
  | { kind: "tried"; report: ImportReport }
  | { kind: "failed"; error: unknown };

/** What an import leaves out; no number: an owner may have any number of prompts. */
export interface Sieve {
  keepsNearDuplicates: boolean;
  maxPerOwner: number | null;
}

const MOST = 1_000_000_000;

/** An owner's prompts at most, as typed: null where nothing is, undefined where it is no number that can be sent. */
export function capOf(typed: string): number | null | undefined {
  const cap = typed.trim();
  if (cap === "") return null;
  return /^\d+$/.test(cap) && Number(cap) >= 1 && Number(cap) <= MOST ? Number(cap) : undefined;
}

export function importUrl(project: string, { keepsNearDuplicates, maxPerOwner }: Sieve, isTrial: boolean) {
  const query = new URLSearchParams({ max_per_owner: maxPerOwner === null ? "none" : String(maxPerOwner) });
  if (keepsNearDuplicates) query.set("keep_near_duplicates", "1");
  if (isTrial) query.set("dry_run", "1");
  return `/api/v1/projects/${project}/prompts/import/?${query.toString()}`;
}

/** Try a file without writing, then write it. Only the newest attempt is shown. */
export function useImport(project: string) {
  const [state, setState] = useState<ImportState>({ kind: "idle" });
  const serial = useRef(0);

  const send = async (kind: "trying" | "writing", content: Blob, sieve: Sieve): Promise<ImportReport | null> => {
    const mine = ++serial.current;
    const show = (next: ImportState) => {
      if (mine === serial.current) setState(next);
    };
    show({ kind, share: 0 });
    try {
      const report = await uploadLines<ImportReport>(importUrl(project, sieve, kind === "trying"), content, (share) => show({ kind, share }));
      show({ kind: "tried", report });
      return report;
    } catch (error) {
      show({ kind: "failed", error });
      return null;
    }
  };
  return {
    state,
    tryOut: (content: Blob, sieve: Sieve) => send("trying", content, sieve),
    write: (content: Blob, sieve: Sieve) => send("writing", content, sieve),
    reset: () => {
      serial.current++;
      setState({ kind: "idle" });
    },
  };
}
