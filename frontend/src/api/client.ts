/** The one door to the REST interface. Answers that are not a success become an ApiError. */

import createClient, { type Middleware } from "openapi-fetch";
import { errorOf, offline } from "@/api/errors";
import type { paths } from "@/api/schema.gen";
import { learnServerClock } from "@/lib/time";

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

let onSignedOut: () => void = () => undefined;

/** Called when the server says that nobody is signed in (any more). */
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

export function csrfToken(cookies = document.cookie): string {
  return /(?:^|;\s*)(?:__Host-csrf|preceptor_csrf)=([^;]+)/.exec(cookies)?.[1] ?? "";
}

/** A key under which the server does a write at most once. */
export function freshKey(): string {
  // randomUUID exists only on https and localhost.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const guard: Middleware = {
  onRequest({ request }) {
    if (!SAFE.has(request.method)) request.headers.set("X-CSRFToken", csrfToken());
    return request;
  },
  async onResponse({ response }) {
    if (response.ok) return;
    if (response.status === 401) onSignedOut();
    throw await errorOf(response);
  },
  onError() {
    return offline();
  },
};

async function timedFetch(request: Request): Promise<Response> {
  const sent = Date.now();
  const response = await fetch(request);
  learnServerClock(response.headers.get("Date"), sent);
  return response;
}

export const api = createClient<paths>({ baseUrl: "", credentials: "same-origin", fetch: timedFetch });
api.use(guard);

/** The body of a successful answer. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}
