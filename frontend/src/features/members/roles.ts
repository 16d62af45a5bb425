import type { Pool, Role } from "@/api/types";

export const ROLES: readonly Role[] = ["labeler", "reviewer", "admin"];
export const POOLS: readonly Pool[] = ["train", "heldout", "researcher"];
