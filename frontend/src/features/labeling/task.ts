import type { Pending } from "@/api/answers";
import type { Assignment, SkipReason } from "@/api/types";

export type TaskDialog = "skip" | "help" | "guidelines" | "difference" | null;

/** What a task screen gets, whatever kind of task it shows. */
export interface TaskProps {
  user: string;
  project: string;
  assignment: Assignment;
  waiting: number; // Earlier answers that could not be sent yet.
  isCorrection: boolean;
  isReadOnly: boolean;
  /** Rejects with the refusal while the screen still stands. `isCertain`: nothing is left for the server to refuse. */
  onSubmit: (answer: Pending, isCertain: boolean) => Promise<void>;
  onSkip: ((reason: SkipReason, note: string) => Promise<void>) | null;
}
