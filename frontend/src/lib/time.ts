/** Clocks and how times are shown. */

let offsetMs = 0;

// A server renews the header about once a second, later when it is busy, and leaves out what is below a second.
const HEADER_LAGS_MS = 5000;

/**
 * Learn the server's clock from the Date header of its answers: drafts of two machines are compared by it.
 *
 * The answer was written some time between `sent` and `received`, and its header names that time or one a little
 * earlier. The offset moves only as far as that forces it: clocks that agree are left alone however slow the answer.
 */
export function learnServerClock(dateHeader: string | null, sent: number, received = Date.now()): void {
  const at = dateHeader ? Date.parse(dateHeader) : Number.NaN;
  if (Number.isNaN(at)) return;
  const [least, most] = [at - received, at + HEADER_LAGS_MS - sent];
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
