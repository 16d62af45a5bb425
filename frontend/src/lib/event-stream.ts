/** Server-sent events with a reconnect that also survives an answer that is not a stream (server restart, 502). */

import { useEffect, useRef, useState } from "react";

export type StreamState = "connecting" | "open" | "waiting";
type Handlers = Record<string, (data: unknown, id: string) => void>;

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

/** Listen to `url` until the returned function is called. Handlers are by event name and get the parsed JSON. */
export function listen(url: string, handlers: Handlers, onState: (state: StreamState) => void): () => void {
  let wait = FIRST_WAIT_MS;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource;

  const connect = () => {
    onState("connecting");
    source = new EventSource(url, { withCredentials: true });
    source.onopen = () => {
      wait = FIRST_WAIT_MS;
      onState("open");
    };
    source.onerror = () => {
      onState("waiting");
      // While the browser reconnects by itself, leave it alone.
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(connect, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event: MessageEvent<string>) => handle(JSON.parse(event.data), event.lastEventId));
    }
  };

  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** Listen while the component is shown; `url` null: not now. The event names must not change between renders. */
export function useEventStream(url: string | null, handlers: Handlers): StreamState {
  const [state, setState] = useState<StreamState>("connecting");
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => {
    if (url === null) return;
    const names = Object.keys(latest.current);
    const forward = Object.fromEntries(names.map((name) => [name, (data: unknown, id: string) => latest.current[name]?.(data, id)]));
    return listen(url, forward, setState);
  }, [url]);
  return state;
}
