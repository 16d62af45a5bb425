import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { learnServerClock, serverNow } from "@/lib/time";

const NOW = Date.parse("2026-03-01T12:00:10Z");
const header = (ms: number) => new Date(ms).toUTCString();
const ahead = () => serverNow() - Date.now();

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => {
  // What agrees with both answers is an offset of 0.
  learnServerClock(header(NOW), NOW, NOW);
  learnServerClock(header(NOW - 5000), NOW, NOW);
  vi.useRealTimers();
});

test("an answer that took long does not set the clock back", () => {
  learnServerClock(header(NOW - 9000), NOW - 10_000, NOW);
  expect(ahead()).toBe(0);
});

test("nor does a header that a busy server wrote some seconds ago", () => {
  learnServerClock(header(NOW - 4000), NOW - 50, NOW);
  expect(ahead()).toBe(0);
});

test("a browser's clock that is wrong is corrected to the second, and stays so after a slow answer", () => {
  learnServerClock(header(NOW + 60_000), NOW - 50, NOW);
  expect(ahead()).toBe(60_000);
  learnServerClock(header(NOW + 55_000), NOW - 10_000, NOW);
  expect(ahead()).toBe(60_000);
  learnServerClock(header(NOW - 60_000), NOW - 50, NOW);
  expect(ahead()).toBe(-54_950);
});

test("an answer without the header teaches nothing", () => {
  learnServerClock(null, NOW, NOW);
  learnServerClock("yesterday", NOW, NOW);
  expect(ahead()).toBe(0);
});
