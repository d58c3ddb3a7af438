import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { InvocationResult } from "../report/verdict.ts";

const main = join(import.meta.dirname, "main.ts");
const example = join(import.meta.dirname, "../../docs/own-services");
/** Outside of the repository, and nothing is installed there. */
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "flyball-own-"));
  await cp(example, directory, { recursive: true });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = (...args: readonly string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
    execFile(process.execPath, [main, "run", ...args], { cwd: directory, env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });

const own = (start: string): string =>
  `import { service } from "flyball/service";\nexport default service({ start: ${start} });`;

test("the example runs from a TypeScript file, on real processes as in sim, packed and not", async () => {
  // How fast a busy machine is isn't the question here.
  const patient = ["--set", "fleet.shop.calls.timeout=20s", "--set", "fleet.orders.calls.timeout=10s"];
  const [inSim, inLocal] = await Promise.all([
    run("./shop.ts", "--json", "--world", "sim", "--out", "sim"),
    run("./shop.ts", "--json", "--world", "local", "--pack", "2", ...patient, "--out", "local"),
  ]);
  expect(inSim.code).toBe(0);
  for (const text of [inSim.stdout, inLocal.stdout]) {
    const [{ calls, instances, checks }] = (JSON.parse(text) as InvocationResult).runs as [
      InvocationResult["runs"][number],
    ];
    expect(calls.total).toBe(500);
    expect(checks[0]).toMatchObject({ name: "orders success ≥ 99%" });
    expect(checks[0]!.verdict).not.toBe("fail");
    for (const id of ["orders/0", "orders/2", "prices/0", "prices/1"]) expect(instances[id]!.ok).toBeGreaterThan(50);
  }
}, 60_000);

test("it may call several services, and is told when it calls one that the scenario doesn't name", async () => {
  const start = `({ callee }) => ({ do: ({ key }, call) => callee(key === "" ? "stock" : key).do({ key }, { parent: call }) })`;
  await writeFile(join(directory, "several.ts"), own(start));
  const one = (await readFile(join(directory, "shop.yaml"), "utf8")).replace("./orders.ts", "./several.ts");
  const two = one.replace(
    /^ {4}calls: .*$/m,
    "$&\n    alsoCalls: [{ service: stock }]\n  stock: { program: provider }",
  );
  await writeFile(join(directory, "one.yaml"), one);
  await writeFile(join(directory, "two.yaml"), two);
  const [told, silent] = await Promise.all([
    run("./two.yaml", "--world", "sim", "--json", "--out", "two"),
    run("./one.yaml", "--world", "sim", "--json", "--out", "one"),
  ]);
  expect((JSON.parse(told.stdout) as InvocationResult).runs[0]!.instances).toMatchObject({ "stock/0": { failed: 0 } });
  expect(silent.stdout).toContain("doesn't call stock: it calls prices");
}, 60_000);

test("and from a YAML file, the same in every repetition", async () => {
  const { code, stdout } = await run("./shop.yaml", "--world", "sim", "--check-determinism", "--out", "yaml");
  expect(stdout).toContain("two runs are the same");
  expect(code).toBe(0);
}, 60_000);

describe("what is wrong with a service is told with its file", () => {
  const both = ["sim", "local"] as const;
  test.concurrent.each<[string, string, string, (readonly string[])?]>([
    ["unreadable", `const x = 1;\nconst y = ;`, "it throws SyntaxError: Expression expected (at 2)", both],
    ["throws", `const x: number = 1;\nthrow new TypeError("boom");`, "it throws TypeError: boom (at 2:7)", both],
    ["no-service", `export const other = 1;`, "exports no service: other", both],
    ["never-listens", own("() => new Promise(() => undefined)"), "never listens: its start() hasn't ended", both],
    ["unstarted", own(`() => { throw new Error("no luck"); }`), "can't start: no luck (at "],
    [
      "dies-early",
      own(`() => { setImmediate(() => { throw new Error("gone"); }); return { do: () => ({}) }; }`),
      "gone",
      ["local"],
    ],
    ["answers-nothing", own("() => ({})"), "start() answers an object without do(), and nothing that could be called"],
    ["build", `enum A { B }\nexport default A;`, "TypeScript enum is not supported"],
  ])(
    "%s",
    async (name, text, message, worlds = ["sim"]) => {
      await writeFile(join(directory, `${name}.ts`), text);
      const args = ["./shop.yaml", "--set", `fleet.orders.own.file=./${name}.ts`, "--json"];
      for (const world of worlds) {
        const { code, stdout } = await run(...args, "--world", world, "--out", `${name}-${world}`);
        const [{ verdict, reason }] = (JSON.parse(stdout) as InvocationResult).runs as [
          InvocationResult["runs"][number],
        ];
        expect(verdict).toBe("error");
        // A machine that is too busy to start a process in time can't say more.
        if (reason!.includes("wasn't ready within 15 s")) continue;
        expect(reason).toContain(message);
        expect(reason).toContain(`${directory}/${name}.ts`);
        expect(code).toBe(3);
      }
    },
    60_000,
  );

  // These wait, too: at the same time as those before them.
  test.concurrent(
    "one with a loop without an end fails its own run in sim, and the next goes on",
    async () => {
      await writeFile(join(directory, "loops.ts"), own("() => ({ do: () => { for (;;); } })"));
      const shop = await readFile(join(directory, "shop.yaml"), "utf8");
      await writeFile(
        join(directory, "loops.yaml"),
        shop.replace("./orders.ts", "./loops.ts").replace("name: own-services", "name: loops"),
      );
      const files = ["./loops.yaml", "./shop.yaml"];
      const { code, stdout } = await run(...files, "--world", "sim", "--json", "--out", "loops-out");
      const { runs } = JSON.parse(stdout) as InvocationResult;
      expect(runs.map(({ verdict }) => verdict)).toEqual(["error", "pass"]);
      expect(runs[0]!.reason).toMatch(/^orders\/\d, .*\/loops\.ts, doesn't come back[^]*--world local/);
      expect(code).toBe(3);
    },
    60_000,
  );

  test.concurrent.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "and a %s in it is heard: what happened is told, and nothing runs on",
    async (signal, exitCode) => {
      const file = `loops-${signal}.ts`;
      await writeFile(join(directory, file), own(`() => { console.error("it loops"); for (;;); }`));
      const args = ["--world", "sim", "--set", `fleet.orders.own.file=./${file}`, "--out", `${file}-out`];
      const child = spawn(process.execPath, [main, "run", "./shop.yaml", ...args], { cwd: directory });
      let stdout = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => text.includes("it loops") && child.kill(signal));
      const code = await new Promise((resolve) => child.on("close", resolve));
      expect(stdout).toContain(`${directory}/${file}, doesn't come back`);
      expect(code).toBe(exitCode);
    },
    60_000,
  );

  test.concurrent(
    "one that ends its node in local is an error of the run, and no bug of Flyball's",
    async () => {
      await writeFile(join(directory, "leaves.ts"), own("() => ({ do: () => process.exit(0) })"));
      const args = ["./shop.yaml", "--set", "fleet.orders.own.file=./leaves.ts", "--world", "local", "--out", "leaves"];
      const { code, stdout } = await run(...args, "--json");
      expect((JSON.parse(stdout) as InvocationResult).runs[0]!.reason).toMatch(
        /died by itself|wasn't ready within 15 s/,
      );
      expect(code).toBe(3);
    },
    60_000,
  );

  test.concurrent(
    "one that was compiled is named as it was given, whatever source its map names",
    async () => {
      const map = { version: 3, sources: ["src/orders.ts"], names: [], mappings: ";AAUA" };
      const url = `data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString("base64")}`;
      await writeFile(
        join(directory, "compiled.js"),
        `export {};\nthrow new Error("boom");\n//# sourceMappingURL=${url}\n`,
      );
      const args = ["--set", "fleet.orders.own.file=./compiled.js", "--world", "local", "--json", "--out", "compiled"];
      const { stdout } = await run("./shop.yaml", ...args);
      expect((JSON.parse(stdout) as InvocationResult).runs[0]!.reason).toContain("it throws Error: boom (at 2:7)");
    },
    60_000,
  );

  test.concurrent.each([
    ["undefined", "do() answers undefined, and no object"],
    ["42", "do() answers 42, and no object"],
    ["({ payload: 42 })", "a payload is a text, and not number"],
  ])("an answer that is none (%s) fails the call, and is told", async (answer, message) => {
    const name = `answers-${answer.replaceAll(/\W/g, "")}`;
    await writeFile(join(directory, `${name}.ts`), own(`() => ({ do: () => ${answer} })`));
    const args = ["./shop.yaml", "--set", `fleet.orders.own.file=./${name}.ts`, "--world", "sim", "--out", name];
    const { code, stdout } = await run(...args, "--json");
    const [{ out }] = (JSON.parse(stdout) as InvocationResult).runs as [InvocationResult["runs"][number]];
    expect(code).toBe(1);
    expect(await readFile(join(directory, out, "history.ndjson"), "utf8")).toContain(message);
  });

  test.concurrent("one that ends the process of sim doesn't look as if everything had passed", async () => {
    await writeFile(join(directory, "quits.ts"), own("() => ({ do: () => process.exit(0) })"));
    const args = ["./shop.yaml", "--set", "fleet.orders.own.file=./quits.ts", "--world", "sim", "--out", "quits"];
    const { code, stderr } = await run(...args);
    expect(stderr).toContain("error: a module of the scenario's ends the process");
    expect(code).toBe(2);
  });

  test.concurrent.each([
    ["rejects", `void Promise.reject(new TypeError("boom"))`, "throws TypeError: boom, and nobody catches it"],
    [
      "throws",
      `queueMicrotask(() => { throw new TypeError("boom"); })`,
      "throws TypeError: boom, and nobody catches it",
    ],
    ["rejects-a-text", `void Promise.reject("boom")`, "rejects, and nobody awaits it"],
  ])(
    "one that %s behind sim's back fails its own run, and the next goes on",
    async (name, does, message) => {
      await writeFile(join(directory, `${name}.ts`), own(`() => ({ do: () => { ${does}; return {}; } })`));
      const shop = await readFile(join(directory, "shop.yaml"), "utf8");
      const bad = shop.replace("./orders.ts", `./${name}.ts`).replace("name: own-services", `name: ${name}`);
      await writeFile(join(directory, `${name}.yaml`), bad);
      const files = [`./${name}.yaml`, "./shop.yaml"];
      const { code, stdout, stderr } = await run(...files, "--world", "sim", "--json", "--out", `${name}-out`);
      const { runs } = JSON.parse(stdout) as InvocationResult;
      expect(runs.map(({ verdict }) => verdict)).toEqual(["error", "pass"]);
      expect(runs[0]!.reason).toContain(`${directory}/${name}.ts`);
      expect(runs[0]!.reason).toContain(message);
      expect(stderr).not.toContain("bug of Flyball");
      expect(code).toBe(3);
    },
    60_000,
  );

  test.concurrent("one that the scenario has imported before is held to be portable all the same", async () => {
    await writeFile(join(directory, "before.ts"), `import "node:fs";\n${own("() => ({ do: () => ({}) })")}`);
    const shop = await readFile(join(directory, "shop.ts"), "utf8");
    await writeFile(
      join(directory, "imports.ts"),
      `import "./before.ts";\n${shop.replace("./orders.ts", "./before.ts")}`,
    );
    const { code, stdout } = await run("./imports.ts", "--world", "sim", "--json", "--out", "imports-out");
    expect((JSON.parse(stdout) as InvocationResult).runs[0]!.reason).toContain("node:fs, which ");
    expect(code).toBe(3);
  });

  test.concurrent.each([
    ["a module of Node.js", `import "node:fs";`, "node:fs, which "],
    ["one that it imports in turn", `import "./deep.ts";`, "os, which "],
    [
      "what of ours needs a host",
      `import "${join(import.meta.dirname, "../../runtime/node/disk.ts")}";`,
      "runtime/node/disk.ts, which ",
    ],
  ])("%s is not there in sim", async (name, text, message) => {
    const file = `${name.replaceAll(/\W/g, "-")}.ts`;
    await writeFile(join(directory, "deep.ts"), `import "os";`);
    await writeFile(join(directory, file), `${text}\n${own("() => ({ do: () => ({}) })")}`);
    const args = ["--world", "sim", "--set", `fleet.orders.own.file=./${file}`, "--json", "--out", `${file}-out`];
    const { code, stdout } = await run("./shop.yaml", ...args);
    const [{ reason }] = (JSON.parse(stdout) as InvocationResult).runs as [InvocationResult["runs"][number]];
    expect(reason).toContain(message);
    expect(reason).toContain("--world local");
    expect(code).toBe(3);
  });

  test.concurrent.each([
    ["./none.ts", "there is no file"],
    ["./shop.yaml", "shop.yaml is no module"],
  ])("a path that leads to none (%s) ends with 2, before anything starts", async (file, message) => {
    const { code, stderr } = await run("./shop.yaml", "--set", `fleet.orders.own.file=${file}`);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});
