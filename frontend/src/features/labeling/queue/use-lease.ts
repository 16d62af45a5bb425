import { useEffect, useRef, useState } from "react";
import { api, body } from "@/api/client";
import { ApiError } from "@/api/errors";
import type { Assignment } from "@/api/types";
import { serverNow } from "@/lib/time";

const BEAT_MS = 15_000;
const IDLE_MS = 60_000;
const TICK_MS = 1000;
const SHOW_BELOW_S = 300;

export interface Lease {
  secondsLeft: number | null; // Only when it is worth a look.
  isLost: boolean;
  activeMs: () => number;
}

/** Renews the lease while somebody works, and counts the time they do. */
export function useLease(assignment: Assignment): Lease {
  const isHeld = assignment.state === "leased";
  const until = useRef(Date.parse(assignment.lease_until));
  const [isLost, setLost] = useState(assignment.state === "expired");
  const [secondsLeft, setSecondsLeft] = useState<number | null>(null);
  const active = useRef(0);
  const touched = useRef(0);

  useEffect(() => {
    const touch = () => {
      touched.current = Date.now();
    };
    touch();
    const events = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];
    for (const event of events) addEventListener(event, touch, { passive: true });
    const isActive = () => document.visibilityState === "visible" && Date.now() - touched.current < IDLE_MS;
    const tick = setInterval(() => {
      if (isActive()) active.current += TICK_MS;
      const seconds = Math.round((until.current - serverNow()) / 1000);
      // Nothing is drawn anew while there is plenty of time.
      setSecondsLeft(isHeld && seconds < SHOW_BELOW_S ? Math.max(0, seconds) : null);
      setLost((was) => was || (isHeld && seconds <= 0));
    }, TICK_MS);
    const beat = setInterval(() => {
      if (!isHeld || !isActive()) return;
      body(
        api.POST("/api/v1/assignments/{assignment_id}/heartbeat/", {
          params: { path: { assignment_id: assignment.id } },
          body: { active_ms: active.current },
        }),
      )
        .then(({ lease_until }) => {
          until.current = Date.parse(lease_until);
        })
        .catch((error: unknown) => {
          if (error instanceof ApiError && error.code === "lease_ended") setLost(true);
        });
    }, BEAT_MS);
    return () => {
      clearInterval(tick);
      clearInterval(beat);
      for (const event of events) removeEventListener(event, touch);
    };
  }, [assignment.id, isHeld]);

  return { secondsLeft: isLost ? null : secondsLeft, isLost, activeMs: () => active.current };
}
