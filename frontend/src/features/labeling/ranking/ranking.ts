/**
 * The ranking screen as a pure function: cards 0..K-1 in the order shown, tiers from best to worst, undo.
 * No effects and no texts in here, so that it is tested as a table.
 */

export interface Board {
  tiers: number[][];
  likert: (number | null)[]; // Overall quality 1..7 by card.
  last: number | null; // The card placed last: "=" ties with it.
}

export type Place = { kind: "tier"; tier: number } | { kind: "gap"; before: number } | { kind: "pool" };

export type Said = { what: "placed" | "taken-back" | "rated" | "undone" | "redone"; card: number | null } | { what: "no-ties" | "no-card" };

export interface Ranking {
  mode: "ordering" | "refused"; // refused: a submit was tried with cards missing.
  size: number;
  allowTies: boolean;
  board: Board;
  past: Board[];
  future: Board[];
  focused: number | null;
  isWide: boolean;
  said: Said | null; // What a screen reader is told.
}

export type RankingEvent =
  | { type: "focus"; card: number | null }
  | { type: "place" | "tie" | "up" | "down" | "merge" | "split" | "take-back" | "undo" | "redo" | "refuse" }
  | { type: "rate"; value: number; card?: number }
  | { type: "move"; card: number; to: Place }
  | { type: "load"; board: Board };

const UNDO_STEPS = 100;

export function emptyBoard(size: number): Board {
  return { tiers: [], likert: Array.from({ length: size }, () => null), last: null };
}

export function startRanking(size: number, allowTies: boolean, board = emptyBoard(size)): Ranking {
  return { mode: "ordering", size, allowTies, board, past: [], future: [], focused: null, isWide: false, said: null };
}

export function ranking(state: Ranking, event: RankingEvent): Ranking {
  switch (event.type) {
    case "focus":
      return focus(state, event.card);
    case "load":
      return { ...state, board: event.board, past: [], future: [], mode: "ordering", said: null };
    case "undo":
      return travel(state, "past", "future", "undone");
    case "redo":
      return travel(state, "future", "past", "redone");
    case "refuse":
      return { ...state, mode: "refused", focused: missing(state)[0] ?? state.focused, isWide: false };
    case "move":
      return moved(state, event.card, event.to);
    case "rate":
      return rated(state, event.card ?? state.focused, event.value);
    default:
      return withFocused(state, event.type);
  }
}

type FocusedAction = "place" | "tie" | "up" | "down" | "merge" | "split" | "take-back";

interface Standing {
  board: Board;
  card: number;
  tier: number | null;
  isTied: boolean;
}

const gap = (before: number): Place => ({ kind: "gap", before });

/** Where each action puts the focused card; null: nowhere else. */
const TARGETS: Record<Exclude<FocusedAction, "merge">, (at: Standing) => Place | null> = {
  place: ({ board }) => gap(board.tiers.length),
  tie: ({ board, card, tier }) => {
    if (board.last === card && tier !== null) return null;
    const target = board.last === null ? null : tierOf(board, board.last);
    return target === null ? gap(board.tiers.length) : { kind: "tier", tier: target };
  },
  up: ({ tier, isTied }) => {
    if (tier === null || (!isTied && tier === 0)) return null;
    return gap(isTied ? tier : tier - 1);
  },
  down: ({ board, tier, isTied }) => {
    if (tier === null || (!isTied && tier === board.tiers.length - 1)) return null;
    return gap(isTied ? tier + 1 : tier + 2);
  },
  split: ({ tier, isTied }) => (tier !== null && isTied ? gap(tier + 1) : null),
  "take-back": ({ tier }) => (tier === null ? null : { kind: "pool" }),
};

function withFocused(state: Ranking, action: FocusedAction): Ranking {
  const card = state.focused;
  if (card === null) return { ...state, said: { what: "no-card" } };
  const { board } = state;
  const tier = tierOf(board, card);
  if (action === "merge") return tier === null || tier === 0 ? state : merged(state, tier, card);
  const isTied = tier !== null && (board.tiers[tier]?.length ?? 0) > 1;
  const to = TARGETS[action]({ board, card, tier, isTied });
  return to ? moved(state, card, to) : state;
}

function focus(state: Ranking, card: number | null): Ranking {
  if (card === null) return { ...state, focused: null, isWide: false };
  if (card < 0 || card >= state.size) return state;
  return { ...state, focused: card, isWide: card === state.focused ? !state.isWide : false };
}

function moved(state: Ranking, card: number, to: Place): Ranking {
  const joins = to.kind === "tier" && (state.board.tiers[to.tier] ?? []).some((other) => other !== card);
  if (joins && !state.allowTies) return { ...state, said: { what: "no-ties" } };
  const tiers = state.board.tiers.map((tier) => tier.filter((other) => other !== card));
  if (to.kind === "tier") tiers[to.tier]?.push(card);
  if (to.kind === "gap") tiers.splice(to.before, 0, [card]);
  const said: Said = { what: to.kind === "pool" ? "taken-back" : "placed", card };
  return changed(state, { ...state.board, tiers, last: to.kind === "pool" ? state.board.last : card }, said);
}

function merged(state: Ranking, tier: number, card: number): Ranking {
  if (!state.allowTies) return { ...state, said: { what: "no-ties" } };
  const { tiers } = state.board;
  const joined = [...(tiers[tier - 1] ?? []), ...(tiers[tier] ?? [])];
  const next = tiers.flatMap((cards, index) => (index === tier ? [] : [index === tier - 1 ? joined : cards]));
  return changed(state, { ...state.board, tiers: next, last: card }, { what: "placed", card });
}

/** The same value again takes it back. */
function rated(state: Ranking, card: number | null, value: number): Ranking {
  if (card === null) return { ...state, said: { what: "no-card" } };
  const likert = state.board.likert.map((old, index) => (index === card ? (old === value ? null : value) : old));
  return changed(state, { ...state.board, likert }, { what: "rated", card });
}

function changed(state: Ranking, board: Board, said: Said): Ranking {
  const kept = { ...board, tiers: board.tiers.filter((tier) => tier.length > 0) };
  if (sameBoard(kept, state.board)) return { ...state, said };
  const past = [...state.past, state.board].slice(-UNDO_STEPS);
  return { ...state, board: kept, past, future: [], mode: "ordering", said };
}

function travel(state: Ranking, from: "past" | "future", to: "past" | "future", what: "undone" | "redone"): Ranking {
  const board = state[from].at(-1);
  if (!board) return state;
  const rest = { [from]: state[from].slice(0, -1), [to]: [...state[to], state.board] };
  return { ...state, ...rest, board, mode: "ordering", said: { what, card: null } };
}

export function tierOf(board: Board, card: number): number | null {
  const tier = board.tiers.findIndex((cards) => cards.includes(card));
  return tier === -1 ? null : tier;
}

/** The cards without a place, in the order shown. */
export function missing(state: Ranking): number[] {
  return cardsOf(state.size).filter((card) => tierOf(state.board, card) === null);
}

export function cardsOf(size: number): number[] {
  return Array.from({ length: size }, (_, card) => card);
}

export function sameBoard(a: Board, b: Board): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Pairs that stand the other way round in the scores, by two or more: a hint, never a block. */
export function contradictions(board: Board): [better: number, worse: number][] {
  const found: [number, number][] = [];
  board.tiers.forEach((tier, index) => {
    const below = board.tiers.slice(index + 1).flat();
    for (const better of tier) {
      for (const worse of below) {
        const [high, low] = [board.likert[better] ?? null, board.likert[worse] ?? null];
        if (high !== null && low !== null && low - high >= 2) found.push([better, worse]);
      }
    }
  });
  return found;
}

export const letterOf = (card: number) => String.fromCharCode(65 + card);
