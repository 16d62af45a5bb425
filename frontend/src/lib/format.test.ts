import { expect, test } from "vitest";
import { ago, compact, decimal, percent, timeSpan, winRate } from "@/lib/format";

test("counts of weights are short in both languages", () => {
  expect(compact(1_403_136, "en")).toBe("1.4M");
  expect(compact(1_403_136, "zh-Hans")).toBe("140.3万");
});

test("numbers keep few digits, and a missing one is a dash", () => {
  expect(decimal(0.123456, "en")).toBe("0.123");
  expect(decimal(-1234.5678, "en")).toBe("-1,235");
  expect(decimal(0.0000123, "en")).toBe("1.2e-5");
  expect(decimal(0, "en")).toBe("0");
  expect(decimal(null, "en")).toBe("–");
  expect(percent(0.666, "en")).toBe("67%");
  expect(percent(Number.NaN, "en")).toBe("–");
});

test("times are as long as a person says them", () => {
  expect(timeSpan(0.2, "en")).toBe("1 sec");
  expect(timeSpan(240, "en")).toBe("4 min");
  expect(timeSpan(7800, "en")).toBe("2 hr 10 min");
  expect(timeSpan(240, "zh-Hans")).toBe("4分钟");
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:03:10Z"), "en")).toBe("3 minutes ago");
});

test("the interval of wins is Wilson's, and ties count half", () => {
  const rate = winRate(10, 10, 0);
  expect(rate?.share).toBe(0.5);
  expect(rate?.low).toBeCloseTo(0.2993, 3);
  expect(rate?.high).toBeCloseTo(0.7007, 3);
  expect(winRate(0, 0, 4)?.share).toBe(0.5);
  expect(winRate(5, 0, 0)?.high).toBeLessThanOrEqual(1);
  expect(winRate(0, 0, 0)).toBeNull();
});
