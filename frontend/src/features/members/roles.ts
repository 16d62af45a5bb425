import type { Pool, Role } from "@/api/types";

export const ROLES: readonly Role[] = ["labeler", "reviewer", "admin"];
export const POOLS: readonly Pool[] = ["train", "heldout", "researcher"];

const MOST = 10;

/** What a member's rankings weigh, from what is typed: above 0, up to 10; null where it is anything else. */
export function weightOf(typed: string): number | null {
  const weight = typed.trim() === "" ? 0 : Number(typed);
  return weight > 0 && weight <= MOST ? weight : null;
}
