import { expect, test } from "vitest";
import { keyMetrics, flat } from "./metrics";
import { layered } from "./layout";

const nodes = ["base", "run", "sft", "snapshot", "labelers", "run2", "policy"].map((id) => ({ id }));
const edges = [
  { from: "base", to: "run" }, { from: "snapshot", to: "run" }, { from: "labelers", to: "snapshot" }, { from: "run", to: "sft" },
  { from: "sft", to: "run2" }, { from: "run2", to: "policy" }, { from: "base", to: "sft" },
];

test("everything stands to the right of what it was made from", () => {
  const { places } = layered(nodes, edges);
  for (const { from, to } of edges) expect(places.get(from)?.column ?? 9).toBeLessThan(places.get(to)?.column ?? 0);
});

test("no two nodes share a place, and the size holds them all", () => {
  const { places, columns, rows } = layered(nodes, edges);
  const all = [...places.values()];
  expect(new Set(all.map(({ column, row }) => `${column} ${row}`)).size).toBe(nodes.length);
  expect(Math.max(...all.map(({ column }) => column))).toBe(columns - 1);
  expect(Math.max(...all.map(({ row }) => row))).toBe(rows - 1);
});

test("a beginning stands just left of its first use", () => {
  const { places } = layered(nodes, edges);
  expect(places.get("base")?.column).toBe((places.get("run")?.column ?? 0) - 1);
});

test("a circle or an unknown end does no harm", () => {
  expect(layered([{ id: "a" }, { id: "b" }], [{ from: "a", to: "b" }, { from: "b", to: "a" }, { from: "x", to: "a" }]).places.size).toBe(2);
  expect(layered([], [])).toEqual({ places: new Map(), columns: 1, rows: 0 });
});

test("key numbers are found by their full or short name, two at most", () => {
  const metrics = { "ppo/score": 1, final_kl: 3, final_score: 2, nested: { deep: true } };
  expect(keyMetrics({ kind: "policy", metrics })).toEqual([["final_score", 2], ["final_kl", 3]]);
  expect(flat(metrics).at(-1)).toEqual(["nested.deep", true]);
});
