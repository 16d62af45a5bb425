import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import type { RecipeField } from "@/api/training-types";
import type { Json } from "@/api/types";
import { SettingInput } from "./setting-input";

const EPOCHS: RecipeField = { name: "epochs", type: "int", nullable: false, default: 3, min: 1, max: 100, choices: null, unit: "", help: "", source: "" };

function Field({ field }: { field: RecipeField }) {
  const [value, setValue] = useState<Json | undefined>(undefined);
  return <SettingInput field={field} label={field.name} value={value} onChange={setValue} />;
}

test("a whole number keeps its decimal point, and the field asks for a whole one", async () => {
  const user = userEvent.setup();
  render(<Field field={EPOCHS} />, { wrapper: ({ children }) => <MantineProvider env="test">{children}</MantineProvider> });
  const input = screen.getByLabelText("epochs");
  await user.type(input, "1.7");
  expect(input).toHaveValue("1.7");
  expect(input).toHaveAccessibleDescription(expect.stringContaining("Type a whole number."));
  await user.clear(input);
  await user.type(input, "17");
  expect(input).not.toBeInvalid();
});
