import { describe, expect, test } from "vitest";
import { type Board, contradictions, letterOf, missing, ranking, type Ranking, type RankingEvent, startRanking } from "./ranking";

/** "a > {c, b} > d" is written "A|CB|D". */
const written = (state: Ranking) => state.board.tiers.map((tier) => tier.map(letterOf).join("")).join("|");
const cards = (text: string) => text.split("|").filter(Boolean).map((tier) => Array.from(tier, (letter) => letter.charCodeAt(0) - 65));
const board = (text: string, last: number | null = null): Board => ({ tiers: cards(text), likert: [null, null, null, null], last });
const given = (text: string, allowTies = true) => startRanking(4, allowTies, board(text));

function press(state: Ranking, keys: string): Ranking {
  const events: Record<string, RankingEvent> = {
    Enter: { type: "place" }, "=": { type: "tie" }, up: { type: "up" }, down: { type: "down" }, merge: { type: "merge" },
    split: { type: "split" }, back: { type: "take-back" }, undo: { type: "undo" }, redo: { type: "redo" },
  };
  return keys.split(" ").reduce((now, key) => {
    if (/^[a-i]$/.test(key)) return ranking(now, { type: "focus", card: key.charCodeAt(0) - 97 });
    if (/^[1-7]$/.test(key)) return ranking(now, { type: "rate", value: Number(key) });
    const event = events[key];
    if (!event) throw new Error(key);
    return ranking(now, event);
  }, state);
}

test.each([
  ["", "a Enter c Enter b = d Enter", "A|CB|D"],
  ["", "a Enter b Enter c Enter d Enter", "A|B|C|D"],
  ["", "a Enter b = c = d =", "ABCD"],
  ["", "a =", "A"],
  ["A|B|C|D", "a Enter", "B|C|D|A"],
  ["A|B|C|D", "c up", "A|C|B|D"],
  ["A|B|C|D", "a up", "A|B|C|D"],
  ["A|B|C|D", "b down", "A|C|B|D"],
  ["A|B|C|D", "d down", "A|B|C|D"],
  ["A|BC|D", "c up", "A|C|B|D"],
  ["A|BC|D", "b down", "A|C|B|D"],
  ["A|B|C|D", "c merge", "A|BC|D"],
  ["A|BC|D", "d merge", "A|BCD"],
  ["A|B|C|D", "a merge", "A|B|C|D"],
  ["A|BC|D", "b split", "A|C|B|D"],
  ["A|B", "b split", "A|B"],
  ["A|BC|D", "b back", "A|C|D"],
  ["A|B|C|D", "b back undo", "A|B|C|D"],
  ["A|B", "c Enter d = undo undo redo", "A|B|C"],
  ["A|B", "c Enter undo d Enter redo", "A|B|D"],
  ["A|B", "c up", "A|B"],
])("from %j, pressing %j gives %j", (from, keys, to) => {
  expect(written(press(given(from), keys))).toBe(to);
});

describe("dropping a card", () => {
  test.each([
    ["A|B|C|D", 3, { kind: "gap", before: 0 }, "D|A|B|C"],
    ["A|B|C|D", 0, { kind: "gap", before: 4 }, "B|C|D|A"],
    ["A|B|C|D", 0, { kind: "tier", tier: 2 }, "B|CA|D"],
    ["A|BC|D", 1, { kind: "gap", before: 1 }, "A|B|C|D"],
    ["A|BC|D", 1, { kind: "tier", tier: 1 }, "A|CB|D"],
    ["A|B", 0, { kind: "pool" }, "B"],
    ["A|B", 2, { kind: "gap", before: 1 }, "A|C|B"],
  ] as const)("%j: card %i onto %j gives %j", (from, card, to, wanted) => {
    expect(written(ranking(given(from), { type: "move", card, to }))).toBe(wanted);
  });
});

test("where ties are not allowed a tie changes nothing and says so", () => {
  const state = press(given("A|B", false), "c =");
  expect(written(press(state, "a Enter b ="))).toBe("B|C|A");
  const refused = press(given("A|B", false), "b merge");
  expect([written(refused), refused.said]).toEqual(["A|B", { what: "no-ties" }]);
});

test("every card stands in exactly one tier whatever is pressed", () => {
  const keys = ["a", "b", "c", "d", "Enter", "=", "up", "down", "merge", "split", "back", "undo", "redo", "3"];
  let seed = 11;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  let state = given("");
  for (let step = 0; step < 3000; step++) {
    state = press(state, keys[Math.floor(random() * keys.length)] ?? "a");
    const placed = state.board.tiers.flat();
    expect(new Set(placed).size).toBe(placed.length);
    expect(state.board.tiers.every((tier) => tier.length > 0)).toBe(true);
    expect(placed.length + missing(state).length).toBe(4);
  }
});

test("at least fifty steps can be taken back", () => {
  let state = press(given(""), "a Enter b Enter");
  for (let step = 0; step < 60; step++) state = press(state, "a up a down".split(" ").slice(0, 2).join(" ") + (step % 2 ? " down" : ""));
  for (let step = 0; step < 100; step++) state = ranking(state, { type: "undo" });
  expect(written(state)).toBe("");
});

test("a score is set, and taken back by the same key", () => {
  const state = press(given(""), "b 5");
  expect(state.board.likert).toEqual([null, 5, null, null]);
  expect(press(state, "5").board.likert[1]).toBeNull();
});

test("a letter focuses its card, and again shows it over the whole width; letters without a card do nothing", () => {
  const once = press(given(""), "b");
  expect([once.focused, once.isWide]).toEqual([1, false]);
  expect(press(once, "b").isWide).toBe(true);
  expect(press(once, "i")).toEqual(once);
});

test("a refused submit focuses the first card without a place", () => {
  const refused = ranking(press(given("A|C"), "c"), { type: "refuse" });
  expect([refused.mode, refused.focused]).toEqual(["refused", 1]);
  expect(press(refused, "Enter").mode).toBe("ordering");
});

test("actions without a focused card say so", () => {
  expect(press(given(""), "Enter").said).toEqual({ what: "no-card" });
});

test("scores that contradict the order by two or more are named", () => {
  expect(contradictions({ tiers: [[0], [1], [2, 3]], likert: [3, 4, 5, null], last: null })).toEqual([[0, 2]]);
});
