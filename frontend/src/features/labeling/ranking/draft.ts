/** Between the board (cards by number, as shown) and what is stored (candidates by id). */

import type { Answer, Candidate, JsonObject, SubmitBody } from "@/api/types";
import { type Board, emptyBoard } from "./ranking";

export type RankingDraft = JsonObject & { tiers: string[][]; likert: Record<string, number>; note: string };

export function toDraft(board: Board, note: string, candidates: Candidate[]): RankingDraft {
  const id = (card: number) => candidates[card]?.id ?? "";
  const likert: Record<string, number> = {};
  board.likert.forEach((value, card) => {
    if (value !== null) likert[id(card)] = value;
  });
  return { tiers: board.tiers.map((tier) => tier.map(id)), likert, note };
}

/** A board from stored content; what does not fit this task (a draft of something else) is left out. */
export function toBoard(content: Partial<RankingDraft> | null, candidates: Candidate[]): Board {
  const cardOf = (id: unknown) => candidates.findIndex((candidate) => candidate.id === id);
  const tiers = toTiers(content?.tiers, cardOf);
  const likert = emptyBoard(candidates.length).likert;
  for (const [id, value] of Object.entries(content?.likert ?? {})) {
    const card = cardOf(id);
    if (card >= 0 && isScore(value)) likert[card] = value;
  }
  return { tiers, likert, last: tiers.at(-1)?.at(-1) ?? null };
}

const isScore = (value: unknown) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 7;

function toTiers(stored: unknown, cardOf: (id: unknown) => number): number[][] {
  const seen = new Set<number>();
  const rows = Array.isArray(stored) ? (stored as unknown[]) : [];
  const tiers = rows.map((row) => {
    const cards = (Array.isArray(row) ? (row as unknown[]) : []).map(cardOf).filter((card) => card >= 0 && !seen.has(card));
    cards.forEach((card) => seen.add(card));
    return cards;
  });
  return tiers.filter((cards) => cards.length > 0);
}

export function noteOf(content: Partial<{ note: unknown }> | null): string {
  return typeof content?.note === "string" ? content.note : "";
}

export function answeredRanking(answer: Answer | null): RankingDraft | null {
  return answer?.tiers ? { tiers: answer.tiers, likert: answer.likert ?? {}, note: answer.note } : null;
}

export function toBody(draft: RankingDraft, activeMs: number): SubmitBody {
  const hasScores = Object.keys(draft.likert).length > 0;
  return {
    tiers: draft.tiers,
    ...(hasScores ? { likert: draft.likert } : {}),
    note: draft.note.trim() ? draft.note : "",
    active_ms: activeMs,
  };
}

