import { notifications } from "@mantine/notifications";
import type { ReactNode } from "react";

/** Short messages at the edge of the page. `id` replaces an earlier one with the same id. */
export function notify(message: ReactNode, options: { id?: string; isError?: boolean; lastsMs?: number } = {}): void {
  const shown = {
    id: options.id,
    message,
    color: options.isError ? "red" : "petrol",
    autoClose: options.lastsMs ?? (options.isError ? 10_000 : 4000),
    withBorder: true,
  };
  if (options.id) notifications.hide(options.id);
  notifications.show(shown);
}

export function hideNotification(id: string): void {
  notifications.hide(id);
}
