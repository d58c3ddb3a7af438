import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import { wallsRule } from "./.ci/walls-rule.ts";

const portable = ["runtime/**/*.ts", "services/**/*.ts", "harness/worlds/sim/**/*.ts"];
const notPortable = ["runtime/node/**", "services/main.ts", "**/*.test.ts"];

const clock = "Portable room: time is the injected Clock's, so that the simulator can own it.";
const chance = "Portable room: draw from the injected Random, so that one seed explains a run.";
const host = "Portable room: reach the host through a port.";
const order = "Portable room: when it runs is the engine's own choice, so a run wouldn't repeat.";
const locale = "Portable room: the answer depends on the machine's language data. Compare with < and >.";
const engines = "Portable room: engines round it differently, so digests would differ. Use runtime/numbers.ts.";

const globals = {
  [clock]: ["Date", "performance", "setTimeout", "setInterval", "setImmediate"],
  [order]: ["queueMicrotask", "WeakRef", "FinalizationRegistry"],
  [host]: ["process", "globalThis", "global", "require", "Buffer", "console", "fetch", "navigator"],
  [chance]: ["crypto"],
  [locale]: ["Intl"],
};

const transcendental = [
  ...["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "exp", "expm1", "hypot"],
  ...["log", "log10", "log1p", "log2", "pow", "sin", "sinh", "tan", "tanh"],
];

const localeMethods = ["localeCompare", "toLocaleString", "toLocaleLowerCase", "toLocaleUpperCase"];

export default defineConfig(
  { ignores: ["node_modules/", ".flyball/", "coverage/", "**/*_pb.ts", "**/*.d.ts"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: "tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "object-shorthand": "error",
      "@typescript-eslint/no-deprecated": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/return-await": ["error", "in-try-catch"],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // An async function without await keeps the promise of its port: it rejects, it doesn't throw.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    // The arrows between rooms: see .ci/walls.ts.
    files: ["**/*.ts"],
    plugins: { flyball: { rules: { walls: wallsRule } } },
    rules: { "flyball/walls": "error" },
  },
  {
    // Portable rooms: no clock, no chance, no host, and the same numbers in every engine.
    files: portable,
    ignores: notPortable,
    rules: {
      "no-restricted-globals": [
        "error",
        ...Object.entries(globals).flatMap(([message, names]) => names.map((name) => ({ name, message }))),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: chance },
        { object: "AbortSignal", property: "timeout", message: clock },
        ...transcendental.map((property) => ({ object: "Math", property, message: engines })),
        ...localeMethods.map((property) => ({ property, message: locale })),
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "BinaryExpression[operator='**']", message: engines },
        { selector: "AssignmentExpression[operator='**=']", message: engines },
        { selector: "MemberExpression[object.name='Math'][computed=true]", message: engines },
      ],
    },
  },
  {
    files: ["**/*.test.ts"],
    rules: {
      "no-restricted-properties": [
        "error",
        ...["mock", "doMock"].map((property) => ({
          object: "vi",
          property,
          message: "Replace a port or a table's entry instead: a mocked module proves nothing about the real one.",
        })),
      ],
      "@typescript-eslint/unbound-method": "off",
    },
  },
);
