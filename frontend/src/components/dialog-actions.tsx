import { Group } from "@mantine/core";
import type { ReactNode } from "react";

/** The buttons that end a dialog: in sight however long it is. */
export function DialogActions({ children }: { children: ReactNode }) {
  return <Group justify="flex-end" className="dialog-actions">{children}</Group>;
}
