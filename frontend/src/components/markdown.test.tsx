import { MantineProvider } from "@mantine/core";
import { render } from "@testing-library/react";
import { expect, test } from "vitest";
import { Markdown } from "@/components/markdown";

function html(source: string): HTMLElement {
  return render(<Markdown source={source} />, { wrapper: ({ children }) => <MantineProvider>{children}</MantineProvider> }).container;
}

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "![x](https://evil.example/p.png)",
  "![x](javascript:alert(1))",
  "[x](javascript:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[x](vbscript:msgbox(1))",
  "<svg/onload=alert(1)>",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<a href='javascript:alert(1)'>x</a>",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<style>*{background:url(https://evil.example)}</style><base href=//evil.example><meta http-equiv=refresh content=0>",
  "```html\n<script>alert(1)</script>\n```",
  "[a]: javascript:alert(1)\n[a]",
  "<javascript:alert(1)>",
  "[x](/api/v1/me/)",
  "[x](//evil.example/path)",
];

test.each(HOSTILE)("%j becomes nothing that runs or loads", (source) => {
  const page = html(source);
  expect(page.querySelectorAll("script,img,svg,iframe,object,embed,style:not([data-mantine-styles]),link,meta,base,form,math")).toHaveLength(0);
  for (const element of page.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      expect(name).not.toMatch(/^on|^style$|^src|^id$/);
      if (name === "href") expect(value).toMatch(/^(https?:|mailto:)/);
    }
  }
});

test.each(["<b onclick=x>bold</b>", "<div>\n<script>alert(1)</script>\n</div>", "a <svg/onload=y> b", "- <i>x</i>"])("HTML %j is shown as it was written", (source) => {
  expect(html(source).textContent?.replaceAll("\n", "")).toContain(source.replace(/^- /, "").replaceAll("\n", ""));
});

test("an image is shown as its text and address", () => {
  expect(html("![a cat](https://evil.example/p.png?q=secret)").textContent).toContain("a cat https://evil.example/p.png?q=secret");
});

test("a link tells where it leads, whatever it says", () => {
  const page = html("[https://bank.example](https://evil.example/take?x=1)");
  expect(page.querySelector("a")).toHaveAttribute("rel", "noopener noreferrer nofollow");
  expect(page.textContent).toContain("evil.example/take?x=1");
});

test("characters that reorder text are shown by their number", () => {
  expect(html("user\u202Etxt.exe").textContent).toContain("U+202E");
});

test("tables, lists, code and task lists are formatted", () => {
  const page = html("| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n\n```python\nprint(1)\n```");
  expect(page.querySelectorAll("td")).toHaveLength(2);
  expect(page.querySelector("input")).toBeDisabled();
  expect(page.querySelector("code")).toHaveClass("language-python");
});

test.each([
  ["a line of 100 kB", "a".repeat(100_000)],
  ["words of 100 kB", "word ".repeat(20_000)],
  ["10,000 quotes", `${">".repeat(10_000)} deep`],
  ["spaced quotes", `${"> ".repeat(10_000)}deep`],
  ["10,000 open brackets", "[".repeat(10_000)],
  ["2,900 stars", "*a **b ".repeat(960)],
  ["open brackets below the limit", "[a](".repeat(900)],
  ["a list nested 500 deep", Array.from({ length: 500 }, (_, n) => `${"  ".repeat(n)}- x`).join("\n")],
])("%s is shown within two seconds", (_, source) => {
  const began = performance.now();
  expect(html(source).textContent).not.toBe("");
  expect(performance.now() - began).toBeLessThan(2000);
});
