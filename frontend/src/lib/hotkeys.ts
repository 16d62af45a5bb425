/** Keys by their place on the keyboard, so that a Chinese input method or another layout does not swallow them. */

import { useEffect, useRef } from "react";

/**
 * How a key press is named: modifiers in the order Ctrl, Alt, Shift and the key, such as "a", "7", "Enter",
 * "Alt+ArrowUp", "Ctrl+Shift+z". Letters and digits come from `event.code`, signs from `event.key`.
 */
export function nameOf(event: KeyboardEvent): string {
  // With Alt a Mac types "≠" where "=" is printed.
  const printed = event.altKey ? PRINTED[event.code] : undefined;
  const sign = printed ?? event.key;
  const isSign = sign.length === 1 && !/^[\p{L}\p{N}\s]$/u.test(sign);
  const ctrl = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const alt = event.altKey ? "Alt+" : "";
  // Shift is part of a sign already: "?" is Shift and "/" on one keyboard, something else on another.
  const shift = event.shiftKey && !isSign ? "Shift+" : "";
  return `${ctrl}${alt}${shift}${isSign ? sign : placeOf(event)}`;
}

const PRINTED: Record<string, string> = { Equal: "=", Minus: "-" };

function placeOf(event: KeyboardEvent): string {
  const [, letter] = /^Key([A-Z])$/.exec(event.code) ?? [];
  const [, digit] = /^(?:Digit|Numpad)([0-9])$/.exec(event.code) ?? [];
  return letter?.toLowerCase() ?? digit ?? event.key;
}

const WHILE_TYPING = new Set(["Escape", "Ctrl+Enter", "Ctrl+s"]);
const NOT_TYPED = new Set(["checkbox", "radio", "button", "submit", "range", "file"]);

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !NOT_TYPED.has(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable === true;
}

/** Whether the focused control itself does something with this key: Enter presses a button, Space too. */
function isForControl(event: KeyboardEvent, key: string): boolean {
  if (key !== "Enter" && key !== " ") return false;
  const target = event.target;
  return target instanceof HTMLElement && target.closest("button, a[href], summary, [role=menuitem], [role=option]") !== null;
}

/** A handler returns false to leave the key to the browser. */
export type Hotkeys = (key: string, event: KeyboardEvent) => boolean | undefined;

/** Handle keys of the whole page. Off while text is typed (but for Escape, Ctrl+Enter, Ctrl+s) and while composing. */
export function useHotkeys(handle: Hotkeys, enabled = true): void {
  const latest = useRef(handle);
  useEffect(() => {
    latest.current = handle;
  });
  useEffect(() => {
    if (!enabled) return;
    const listen = (event: KeyboardEvent) => {
      if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
      const key = nameOf(event);
      if (isTyping(event.target) && !WHILE_TYPING.has(key)) return;
      if (isForControl(event, key)) return;
      if (latest.current(key, event) === true) event.preventDefault();
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, [enabled]);
}
