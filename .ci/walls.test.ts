import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruise, type ICruiseOptions, type ICruiseResult } from "dependency-cruiser";
import { ESLint } from "eslint";
import tseslint from "typescript-eslint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { walls } from "./walls.ts";

const root = join(import.meta.dirname, "..");

/** One violation per wall: where it stands and what it imports. */
const violations: readonly { wall: string; file: string; imports: string }[] = [
  { wall: "runtime-is-the-bottom", file: "runtime/call/planted.ts", imports: "../../services/planted.ts" },
  { wall: "runtime-is-the-bottom", file: "runtime/call/planted.test.ts", imports: "../../services/planted.ts" },
  { wall: "runtime-is-the-bottom", file: "runtime/node/planted.ts", imports: "../../harness/judge/planted.ts" },
  { wall: "services-stand-on-the-runtime", file: "services/handler.ts", imports: "../harness/judge/planted.ts" },
  { wall: "harness-knows-no-scenario", file: "harness/cli/planted.ts", imports: "../../scenarios/planted.ts" },
  { wall: "scenarios-measure-nothing", file: "scenarios/measuring.ts", imports: "../bench/planted.ts" },
  { wall: "portable-rooms-import-no-node-module", file: "runtime/routing/planted.ts", imports: "node:fs" },
  { wall: "portable-rooms-import-no-node-module", file: "services/bank/planted.ts", imports: "fs/promises" },
  { wall: "portable-rooms-import-no-node-module", file: "harness/worlds/sim/planted.ts", imports: "node:net" },
  { wall: "portable-rooms-import-no-host-room", file: "runtime/cluster/planted.ts", imports: "../node/planted.ts" },
  { wall: "portable-rooms-import-no-host-room", file: "services/starter.ts", imports: "./main.ts" },
  { wall: "portable-rooms-import-no-host-room", file: "harness/worlds/sim/a.ts", imports: "../local/planted.ts" },
  { wall: "portable-rooms-import-no-host-room", file: "harness/worlds/sim/b.ts", imports: "../../cli/main.ts" },
  { wall: "few-packages", file: "runtime/codec/planted.ts", imports: "zod" },
  { wall: "few-packages", file: "services/main.ts", imports: "zod" },
  { wall: "few-packages", file: "scenarios/validating.ts", imports: "zod" },
  { wall: "few-packages", file: "harness/worlds/sim/c.ts", imports: "zod" },
  { wall: "our-own-wire", file: "runtime/node/foreign.ts", imports: "@grpc/grpc-js" },
  { wall: "our-own-wire", file: "harness/cli/foreign.ts", imports: "@grpc/grpc-js" },
  { wall: "worlds-stay-behind-their-port", file: "harness/judge/world.ts", imports: "../worlds/sim/world.ts" },
  { wall: "worlds-stay-behind-their-port", file: "harness/judge/w.test.ts", imports: "../worlds/docker/world.ts" },
  { wall: "worlds-stay-behind-their-port", file: "scenarios/picky.ts", imports: "../harness/worlds/local/world.ts" },
];

/** The right way for each: what the walls must let through. */
const allowed: readonly { file: string; imports: string }[] = [
  { file: "runtime/node/allowed.ts", imports: "node:fs" },
  { file: "runtime/node/packaged.ts", imports: "zod" },
  { file: "runtime/codec/allowed.ts", imports: "@bufbuild/protobuf/wire" },
  { file: "runtime/routing/allowed.test.ts", imports: "node:fs" },
  { file: "runtime/routing/packaged.test.ts", imports: "zod" },
  { file: "runtime/node/oracle.test.ts", imports: "@grpc/grpc-js" },
  { file: "bench/peer.ts", imports: "@grpc/grpc-js" },
  { file: "services/main.ts", imports: "../runtime/node/allowed.ts" },
  { file: "services/allowed.ts", imports: "../runtime/codec/allowed.ts" },
  { file: "harness/scenario/allowed.ts", imports: "zod" },
  { file: "harness/worlds/sim/allowed.ts", imports: "../../../services/allowed.ts" },
  { file: "harness/worlds/all.ts", imports: "./sim/allowed.ts" },
  { file: "harness/cli/allowed.ts", imports: "../worlds/all.ts" },
  { file: "harness/cli/concrete.ts", imports: "../worlds/sim/allowed.ts" },
  { file: "scenarios/allowed.ts", imports: "../harness/scenario/allowed.ts" },
];

test("every wall has a violation planted against it", () => {
  expect(new Set(violations.map(({ wall }) => wall))).toEqual(new Set(walls.map(({ name }) => name)));
});

describe("ESLint", () => {
  // Without types: a planted file is in no TypeScript project, and the walls need none.
  const eslint = new ESLint({ cwd: root, overrideConfig: [tseslint.configs.disableTypeChecked] });
  const lint = async (file: string, code: string) => {
    const [result] = await eslint.lintText(code, { filePath: join(root, file) });
    return (result?.messages ?? []).map(({ ruleId, message }) => `${ruleId ?? "parser"}: ${message}`);
  };

  test.each(violations)("refuses $imports in $file: $wall", async ({ wall, file, imports }) => {
    const why = walls.find(({ name }) => name === wall)?.why;
    for (const code of [
      `import { planted } from "${imports}"; planted();`,
      `import type { Planted } from "${imports}"; export type Kept = Planted;`,
      `export const planted = await import("${imports}");`,
      `export * from "${imports}";`,
      `export { planted } from "${imports}";`,
      `export type Kept = import("${imports}").Planted;`,
    ]) {
      expect(await lint(file, code), code).toContainEqual(expect.stringContaining(`flyball/walls: ${why}`));
    }
  });

  test.each(allowed)("lets $file import $imports", async ({ file, imports }) => {
    expect(await lint(file, `import { planted } from "${imports}"; planted();`)).toEqual([]);
  });

  const impure: readonly (readonly [rule: string, code: string])[] = [
    ...[
      "Date.now()",
      "new Date()",
      "performance.now()",
      "setTimeout(f, 1)",
      "setInterval(f, 1)",
      "setImmediate(f)",
    ].map((code) => ["no-restricted-globals", code] as const),
    ...["queueMicrotask(f)", "new WeakRef(f)", "new Intl.Collator()", "process.exit()", "globalThis.Date.now()"].map(
      (code) => ["no-restricted-globals", code] as const,
    ),
    ...["Math.random()", "Math.log(2)", "Math.exp(2)", "Math.pow(2, 3)", "Math.sin(2)", "AbortSignal.timeout(5)"].map(
      (code) => ["no-restricted-properties", code] as const,
    ),
    ["no-restricted-properties", `"a".localeCompare("b")`],
    ["no-restricted-properties", `(() => { const { random } = Math; return random(); })()`],
    ["no-restricted-syntax", "f ** 2"],
    ["no-restricted-syntax", `(() => { let n = 2; n **= 2; return n; })()`],
    ["no-restricted-syntax", `Math["log"](2)`],
  ];

  test.each(impure)("%s refuses %s in portable rooms only", async (rule, expression) => {
    const code = `export const planted = (f) => [f, ${expression}];`;
    for (const file of ["runtime/call/planted.ts", "services/bank/planted.ts", "harness/worlds/sim/planted.ts"]) {
      expect(await lint(file, code), file).toContainEqual(expect.stringMatching(`${rule}: .*Portable room: `));
    }
    for (const file of ["runtime/node/x.ts", "services/main.ts", "harness/cli/x.ts", "runtime/call/x.test.ts"]) {
      expect(await lint(file, code), file).toEqual([]);
    }
  });

  test("lets portable rooms use the arithmetic that every engine rounds alike", async () => {
    const code = `export const kept = (x) => Math.sqrt(Math.floor(x) + Math.imul(x, 2) + Math.clz32(x) + Math.max(x, Math.trunc(x)));`;
    expect(await lint("runtime/call/planted.ts", code)).toEqual([]);
  });

  test("refuses a mocked module", async () => {
    const code = `import { vi } from "vitest"; vi.mock("./clock.ts");`;
    expect(await lint("runtime/call/planted.test.ts", code)).toContainEqual(expect.stringContaining("'vi.mock'"));
  });
});

describe("dependency-cruiser", () => {
  let tree = "";
  let found: readonly string[] = [];

  beforeAll(async () => {
    tree = mkdtempSync(join(tmpdir(), "flyball-walls-"));
    const plant = (file: string, text: string) => {
      mkdirSync(dirname(join(tree, file)), { recursive: true });
      writeFileSync(join(tree, file), text);
    };
    plant(
      "package.json",
      `{ "type": "module", "dependencies": { "zod": "1", "@bufbuild/protobuf": "1", "@grpc/grpc-js": "1" } }`,
    );
    for (const name of ["zod", "@bufbuild/protobuf", "@grpc/grpc-js"]) {
      plant(
        `node_modules/${name}/package.json`,
        `{ "name": "${name}", "exports": { ".": "./i.js", "./wire": "./i.js" } }`,
      );
      plant(`node_modules/${name}/i.js`, "");
    }
    const files = Map.groupBy([...violations, ...allowed], ({ file }) => file);
    for (const { file, imports } of [...violations, ...allowed]) {
      if (!imports.startsWith(".")) continue;
      const target = join(dirname(file), imports);
      if (!files.has(target)) plant(target, "export {};\n");
    }
    // As types: the graph must hold them too, though Node.js never sees them.
    for (const [file, edges] of files) {
      plant(file, edges.map(({ imports }) => `import type * as x from "${imports}";\n`).join(""));
    }
    plant("runtime/telemetry/cycle.ts", `import "./back.ts";`);
    plant("runtime/telemetry/back.ts", `import "./cycle.ts";`);
    plant("runtime/telemetry/orphan.ts", "export const alone = 1;");
    plant("harness/worlds/sim/far.ts", `import "../../history/reader.ts";`);
    plant("harness/history/reader.ts", `import "node:fs";`);
    plant("harness/history/broken.ts", `import "./absent.ts";`);

    const config = createRequire(import.meta.url)(join(root, ".dependency-cruiser.cjs")) as {
      forbidden: [];
      options: ICruiseOptions;
    };
    const { tsConfig: _, ...options } = config.options;
    const result = await cruise(["."], {
      ...options,
      baseDir: tree,
      validate: true,
      ruleSet: { forbidden: config.forbidden },
    });
    found = (result.output as ICruiseResult).summary.violations.map(
      ({ rule, from, to }) => `${rule.name}: ${from} → ${to}`,
    );
  });

  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  test.each(violations)("refuses $imports in $file: $wall", ({ wall, file }) => {
    expect(found).toContainEqual(expect.stringContaining(`${wall}: ${file} → `));
  });

  test.each(allowed.filter(({ file }) => !violations.some((violation) => violation.file === file)))(
    "lets $file import $imports",
    ({ file }) => {
      expect(found.filter((line) => line.includes(`: ${file} → `))).toEqual([]);
    },
  );

  test("refuses a cycle, a lone file, a missing file, and Node.js at the end of a longer way", () => {
    expect(found).toContainEqual(expect.stringContaining("no-cycles: runtime/telemetry/back.ts"));
    expect(found).toContainEqual(expect.stringContaining("no-orphans: runtime/telemetry/orphan.ts"));
    expect(found).toContainEqual(expect.stringContaining("resolvable: harness/history/broken.ts"));
    expect(found).toContainEqual(expect.stringContaining("portable-rooms-reach-no-host: harness/worlds/sim/far.ts"));
  });
});
