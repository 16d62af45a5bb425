import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { ImportDialog } from "./import-dialog";
import { capOf } from "./use-import";

test("a wrong cap is refused, and only an empty one means any number", () => {
  expect(["-3", "0", "1.5", "1e3", "abc", "1000000001"].map(capOf)).toEqual(Array(6).fill(undefined));
  expect([capOf(" "), capOf("1"), capOf(" 200 ")]).toEqual([null, 1, 200]);
});

test("nothing can be sent while the cap is wrong, the field says why, and Escape loses nothing", async () => {
  const user = userEvent.setup();
  const close = vi.fn();
  render(<ImportDialog project="p1" onClose={close} />, { wrapper: ({ children }) => <MantineProvider env="test">{children}</MantineProvider> });
  await user.click(screen.getByRole("tab", { name: "Paste lines" }));
  await user.type(screen.getByRole("textbox", { name: "Paste lines" }), "x");
  const cap = screen.getByLabelText("Prompts per owner, at most");
  expect(screen.getByRole("button", { name: "Check" })).toBeEnabled();
  await user.clear(cap);
  await user.type(cap, "1.5");
  expect(cap).toHaveValue("1.5");
  expect(cap).toHaveAccessibleDescription(expect.stringContaining("A whole number from 1"));
  expect(screen.getByRole("button", { name: "Check" })).toBeDisabled();
  await user.clear(cap);
  expect(screen.getByRole("button", { name: "Check" })).toBeEnabled();
  await user.keyboard("{Escape}");
  expect(close).not.toHaveBeenCalled();
});
