import { useRef, useState } from "react";
import type { ImportReport } from "@/api/training-types";
import { uploadLines } from "@/api/upload";

export type ImportState =
  | { kind: "idle" }
  | { kind: "trying" | "writing"; share: number }
  | { kind: "tried"; report: ImportReport }
  | { kind: "failed"; error: unknown };

/** Try a file without writing, then write it. Only the newest attempt is shown. */
export function useImport(project: string) {
  const [state, setState] = useState<ImportState>({ kind: "idle" });
  const serial = useRef(0);

  const send = async (kind: "trying" | "writing", content: Blob): Promise<ImportReport | null> => {
    const mine = ++serial.current;
    const show = (next: ImportState) => {
      if (mine === serial.current) setState(next);
    };
    show({ kind, share: 0 });
    const url = `/api/v1/projects/${project}/prompts/import/${kind === "trying" ? "?dry_run=1" : ""}`;
    try {
      const report = await uploadLines<ImportReport>(url, content, (share) => show({ kind, share }));
      show({ kind: "tried", report });
      return report;
    } catch (error) {
      show({ kind: "failed", error });
      return null;
    }
  };
  return {
    state,
    tryOut: (content: Blob) => send("trying", content),
    write: (content: Blob) => send("writing", content),
    reset: () => {
      serial.current++;
      setState({ kind: "idle" });
    },
  };
}
