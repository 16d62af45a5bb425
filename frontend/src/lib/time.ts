/** Clocks and how times are shown. */

let offsetMs = 0;

/**
 * Learn the server's clock from the Date header of its answers: drafts of two machines are compared by it.
 *
 * The header names the second in which the answer was written, which was some time between `sent` and `received`. The
 * offset moves only as far as that forces it: an answer that took long says little and changes nothing.
 */
export function learnServerClock(dateHeader: string | null, sent: number, received = Date.now()): void {
  const at = dateHeader ? Date.parse(dateHeader) : Number.NaN;
  if (Number.isNaN(at)) return;
  const [least, most] = [at - received, at + 1000 - sent];
  offsetMs = Math.min(Math.max(offsetMs, least), most);
}

export function serverNow(): number {
  return Date.now() + offsetMs;
}

export function clock(at: number | string, language: string): string {
  return new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function hourMinute(at: number | string, language: string): string {
  return new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hour12: false });
}

export function dateTime(at: number | string, language: string): string {
  return new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

/** 75 -> "1:15", 4000 -> "1:06:40". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
