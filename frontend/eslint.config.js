import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

// Imports go one way: app > features > components > api, lib. A feature never imports another feature.
const deny = (patterns) => ({
  "no-restricted-imports": ["error", { patterns: [{ group: ["../../*"], message: "Use the @/ alias." }, ...patterns] }],
});
const upward = (...groups) =>
  deny([{ group: groups, message: "Imports go one way: app > features > components > lib, api." }]);

export default tseslint.config(
  { ignores: ["dist", "node_modules", "src/api/schema.gen.ts"] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  {
    files: ["**/*.{ts,tsx}"],
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      ...deny([]),
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "max-lines": ["error", { max: 250, skipBlankLines: true, skipComments: true }],
      complexity: ["error", 12],
      eqeqeq: "error",
      "no-console": "error",
      // Texts of labelers and models are hostile: they become React elements or text, never markup.
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Texts are hostile." },
        { selector: "AssignmentExpression[left.property.name=/^(innerHTML|outerHTML)$/]", message: "Texts are hostile." },
        { selector: "CallExpression[callee.property.name=/^(insertAdjacentHTML|write)$/]", message: "Texts are hostile." },
        { selector: "ExportAllDeclaration", message: "No barrels: import from the file that holds it." },
      ],
    },
  },
  { files: ["src/lib/**", "src/api/**"], rules: upward("@/features/*", "@/app/*", "@/components/*") },
  { files: ["src/components/**"], rules: upward("@/features/*", "@/app/*") },
  { files: ["src/features/**"], rules: upward("@/app/*", "@/features/*") },
);
