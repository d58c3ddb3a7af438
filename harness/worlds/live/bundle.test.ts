import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { bundled } from "./bundle.ts";
import { inSources } from "./in-sources.ts";
import { programs } from "./programs.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "flyball-test-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const directory = (): string => join(home, "made", "here");
const entry = (): string => join(home, "main.ts");

/** A source, last changed a while ago. */
function write(name: string, text: string, secondsAgo = 60): void {
  const path = join(home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  const at = Date.now() / 1000 - secondsAgo;
  utimesSync(path, at, at);
}

const start = join(import.meta.dirname, "start.cjs");
const runWith = (caches: string | undefined, main: string, ...args: readonly string[]): string => {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const all = { ...env, ...(caches !== undefined && { NODE_COMPILE_CACHE: caches }) };
  return execFileSync(process.execPath, [start, main, ...args], { encoding: "utf8", stdio: "pipe", env: all }).trim();
};
const run = (main: string): string => runWith(undefined, main);

test("a program in one file does what it does in many, and names its sources' lines in errors", async () => {
  write(
    "greeting.ts",
    "type Name = string;\nexport const greet = (name: Name): string => {\n  return `hello ${name}`;\n};\n",
  );
  write("late.ts", 'export const fail = (): never => {\n  throw new Error("late");\n};\n');
  write(
    "main.ts",
    `import { greet } from "./greeting.ts";
     console.log(greet("you"));
     import("./late.ts").then(({ fail }) => fail()).catch((error: Error) => console.log(error.stack));`,
  );
  const main = (await bundled(entry(), directory()))!;
  expect(main.startsWith(directory())).toBe(true);
  rmSync(join(home, "greeting.ts"));
  rmSync(join(home, "late.ts"));
  const [hello, ...stack] = run(main).split("\n");
  expect(hello).toBe("hello you");
  const told = stack.join("\n");
  expect(inSources(told, directory())).toContain(`(${join(home, "late.ts")}:2:`);
  const inContainer = told.replaceAll(directory(), "/elsewhere/a (b)");
  expect(inSources(inContainer, directory(), "/elsewhere/a (b)")).toContain(`(${join(home, "late.ts")}:2:`);
  expect(inSources("at /else/where.cjs:1:2", directory())).toBe("at /else/where.cjs:1:2");
});

test("what isn't ASCII is what it was, and errors of the program itself name their lines", async () => {
  write(
    "main.ts",
    `const größe = (text: string): number => text.length;
     console.log("é😀→", größe("é"), /[😀-😂]/u.test("😁"), \`用\${"户"}\`);
     export class Oops extends Error {}
     try {
       throw new Oops("…");
     } catch (error) {
       console.log((error as Error).stack);
     }`,
  );
  const [said, ...stack] = run((await bundled(entry(), directory()))!).split("\n");
  expect(said).toBe("é😀→ 1 true 用户");
  const told = inSources(stack.join("\n"), directory());
  expect(told).toContain(`${join(home, "main.ts")}:5:14`);
  expect(told).toContain("…");
});

test("a program that means something else once it is escaped is run from its sources", async () => {
  for (const text of ["console.log(String.raw`é`.length);\n", "console.log(/\\é/.source);\n"]) {
    write("main.ts", text);
    expect(await bundled(entry(), directory())).toBeUndefined();
  }
});

test("parts that are loaded later import from the program that runs, not from another one", async () => {
  write(
    "main.ts",
    `export class Own extends Error {}
     console.log("once");
     import("./late.ts").then(({ made }) => console.log(made instanceof Own));`,
  );
  write("late.ts", 'import { Own } from "./main.ts";\nexport const made: Error = new Own();\n');
  expect(run((await bundled(entry(), directory()))!)).toBe("once\ntrue");
});

describe("what V8 has compiled of it", () => {
  const caches = (): string => join(home, "caches");
  const codes = (): readonly string[] =>
    readdirSync(caches())
      .filter((name) => name.endsWith(".code"))
      .map((name) => join(caches(), name));
  const begin = async (): Promise<string> => {
    write("main.ts", "const own = (): number => 7;\nconsole.log(own(), ...process.argv.slice(2));\n");
    mkdirSync(caches());
    return (await bundled(entry(), directory(), [caches()]))!;
  };
  const runCached = (main: string, ...args: readonly string[]): string => runWith(caches(), main, ...args);

  test("is kept for the next process of its kind, and used", async () => {
    const main = await begin();
    expect(runCached(main, "provider", "more")).toBe("7 provider more");
    expect(runCached(main, "registry")).toBe("7 registry");
    expect(codes()).toHaveLength(2);
    // Who can use it doesn't write it again.
    const before = codes().map((code) => statSync(code).mtimeMs);
    expect(runCached(main, "provider")).toBe("7 provider");
    expect(codes().map((code) => statSync(code).mtimeMs)).toEqual(before);
  });

  test("is made anew where it is none of this V8's", async () => {
    const main = await begin();
    runCached(main, "provider");
    writeFileSync(codes()[0]!, "no code of V8's");
    expect(runCached(main, "provider")).toBe("7 provider");
    expect(statSync(codes()[0]!).size).toBeGreaterThan(100);
  });

  test("isn't kept of a process that failed, nor where nothing can be written", async () => {
    write("main.ts", "process.exitCode = process.argv[2] === 'bad' ? 1 : 0;\n");
    mkdirSync(caches());
    const main = (await bundled(entry(), directory()))!;
    expect(() => runCached(main, "bad")).toThrow();
    expect(codes()).toEqual([]);
    runCached(main, "good");
    const [code] = codes();
    rmSync(code!);
    mkdirSync(code!);
    expect(runCached(main, "good")).toBe("");
    expect(readdirSync(caches()).filter((name) => name.startsWith("main-"))).toEqual([basename(code!)]);
  });

  test("goes when the program has changed and a day has passed", async () => {
    const main = await begin();
    runCached(main, "provider");
    const dayAgo = Date.now() / 1000 - 25 * 3600;
    utimesSync(codes()[0]!, dayAgo, dayAgo);
    write("main.ts", "console.log(8);\n", 30);
    await bundled(entry(), directory(), [caches()]);
    expect(codes()).toEqual([]);
  });
});

test("it is made once, and again when something that it was made of has changed", async () => {
  write("part.ts", "export const part: number = 1;\n");
  write("main.ts", 'import { part } from "./part.ts";\nconsole.log(part);\n');
  const first = await bundled(entry(), directory());
  const before = readdirSync(directory());
  expect(await bundled(entry(), directory())).toBe(first);
  expect(readdirSync(directory())).toEqual(before);
  write("part.ts", "export const part: number = 2;\n", 30);
  const second = await bundled(entry(), directory());
  expect(second).not.toBe(first);
  expect(run(second!)).toBe("2");
  // Whoever began with the first one may still be reading it.
  expect(run(first!)).toBe("1");
});

test("several at once make the same one, in one process and in several, and leave nothing unfinished", async () => {
  write("main.ts", "console.log(1 as number);\n");
  const other = `import { bundled } from ${JSON.stringify(join(import.meta.dirname, "bundle.ts"))};
    console.log(await bundled(${JSON.stringify(entry())}, ${JSON.stringify(directory())}));`;
  const elsewhere = [1, 2].map(() => promisify(execFile)(process.execPath, ["--input-type=module", "-e", other]));
  const here = [1, 2].map(() => bundled(entry(), directory()));
  const made = [...(await Promise.all(elsewhere)).map(({ stdout }) => stdout.trim()), ...(await Promise.all(here))];
  expect(new Set(made)).toEqual(new Set([expect.stringContaining(directory())]));
  expect(readdirSync(directory()).filter((name) => !/^(main-[\w-]+\.cjs(\.map)?|made\.json)$/.test(name))).toEqual([]);
});

test("a copied checkout has its own", async () => {
  write("one/part.ts", "export const part: number = 1;\n");
  write("one/main.ts", 'import { part } from "./part.ts";\nconsole.log(part);\n');
  const bundleOf = (checkout: string) => bundled(join(home, checkout, "main.ts"), join(home, checkout, "made"));
  await bundleOf("one");
  cpSync(join(home, "one"), join(home, "copy"), { recursive: true, preserveTimestamps: true });
  expect(await bundleOf("copy")).toContain(join(home, "copy"));
  write("copy/part.ts", "export const part: number = 2;\n", 30);
  expect(run((await bundleOf("copy"))!)).toBe("2");
  expect(run((await bundleOf("one"))!)).toBe("1");
});

test("an older one's files go a day after another came, for runs that began with it may go on", async () => {
  const dayAgo = Date.now() / 1000 - 25 * 3600;
  const age = (main: string): void => utimesSync(main, dayAgo, dayAgo);
  write("main.ts", "console.log(1);\n");
  const first = (await bundled(entry(), directory()))!;
  age(first);
  write("main.ts", "console.log(2);\n", 30);
  const second = (await bundled(entry(), directory()))!;
  expect(run(first)).toBe("1");
  age(first);
  write("main.ts", "console.log(3);\n", 20);
  expect(run((await bundled(entry(), directory()))!)).toBe("3");
  expect(existsSync(first)).toBe(false);
  expect(existsSync(second)).toBe(true);
});

test("a node finds its program in the sources when what was made of it is gone", async () => {
  const programFor = await programs(directory());
  expect(programFor([]).at(-1)).toContain(directory());
  rmSync(directory(), { recursive: true });
  expect(programFor([]).at(-1)).toBe(join(import.meta.dirname, "../../../services/main.ts"));
});

test("what can't be made is nobody's error: the program is run from its sources then", async () => {
  write("main.ts", "this is no program (\n");
  expect(await bundled(entry(), directory())).toBeUndefined();
  expect(await bundled(join(home, "missing.ts"), directory())).toBeUndefined();
  write("main.ts", "console.log(1);\n", -60);
  expect(await bundled(entry(), directory()), "changed while it is read").toBeUndefined();
  write("main.ts", "console.log(1);\n");
  rmSync(join(home, "made"), { recursive: true });
  writeFileSync(join(home, "made"), "a file where the directory should be");
  expect(await bundled(entry(), directory())).toBeUndefined();
});

test("what is damaged or gone is made anew", async () => {
  write("main.ts", "console.log(1);\n");
  mkdirSync(directory(), { recursive: true });
  writeFileSync(join(directory(), "made.json"), "{");
  const main = await bundled(entry(), directory());
  expect(run(main!)).toBe("1");
  rmSync(main!);
  expect(run((await bundled(entry(), directory()))!)).toBe("1");
});
