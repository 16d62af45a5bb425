import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const STYLES = join(ROOT, "node_modules/@mantine/core/styles");
const imported = readFileSync(join(ROOT, "src/app/mantine.css"), "utf8");

/** "Button" for every `import { Button } from "@mantine/core"` in the sources. */
function used(): Set<string> {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".tsx"));
  const lists = files.flatMap((file) => [...readFileSync(join(ROOT, "src", file), "utf8").matchAll(/import \{([^}]*)\} from "@mantine\/core"/g)].map(([, names]) => names ?? ""));
  return new Set(lists.flatMap((names) => names.split(",").map((name) => name.trim())));
}

test("every component that is used brings its styles", () => {
  const missing = [...used()].filter((name) => existsSync(join(STYLES, `${name}.css`)) && !imported.includes(`/${name}.css"`));
  expect(missing).toEqual([]);
});
