import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { InvocationResult } from "../report/verdict.ts";
import { inProcess } from "./in-process.fixture.ts";

const main = join(import.meta.dirname, "main.ts");
const example = join(import.meta.dirname, "../../docs/own-services/shop.yaml");
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "flyball-cli-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a shell starts it, in a directory of its own. */
function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: directory,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject).on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

const flyball = (...args: readonly string[]): Promise<Ended> => start(args).ended;

const scenarioText = `
import { constant, consumer, provider, scenario, successRate } from "${join(import.meta.dirname, "../scenario/builders.ts")}";
export default scenario({
  name: "mine",
  title: { en: "Mine", zh: "我的" },
  explanation: { en: "A provider that fails now and then.", zh: "时而失败的提供者。" },
  fleet: {
    shop: consumer({ instances: 1, calls: "orders", retries: 0 }),
    orders: provider({ errorRate: "50%" }),
  },
  load: constant("200/s").on("shop").for("2s"),
  expect: [successRate("orders").atLeast("99%").detects("80%")],
});
`;

describe("wrong usage ends with 2, and names what is near", () => {
  test.each<[string, readonly string[], string]>([
    ["an option", ["run", "--sed", "3"], "Did you mean one of --seed, --set?"],
    ["a command", ["rnu"], "Did you mean run?"],
    ["a pattern", ["run", "--grep", "("], "--grep ( is no regular expression"],
    ["a pattern that finds nothing", ["run", "--grep", "zebra"], "--grep zebra finds no scenario"],
    ["a shard", ["run", "--shard", "3/2"], "1/3, 2/3 and 3/3"],
    ["two choices", ["run", "node-loss", "--grep", "x"], "not both"],
    ["a scenario twice", ["run", "node-loss", "tcc-transfer", "node-loss"], "node-loss is there twice"],
    ["nothing ran yet", ["run", "--last-failed", "--all"], "--last-failed chooses the scenarios itself"],
    ["a scenario", ["run", "node-los"], 'hint: did you mean "node-loss"?'],
    ["a world", ["run", "--world", "smi"], 'hint: did you mean "sim"?'],
    ["a reporter", ["run", "--reporter", "jsn"], 'hint: did you mean "json"?'],
    ["a key", ["run", "node-loss", "--set", "fleet.ordrs.weight=3"], 'hint: did you mean "orders"?'],
    ["a seed", ["run", "--seed", "-1"], "whole number"],
    ["an empty directory", ["run", "--out", ""], "a name is missing"],
    ["two ways to say seeds", ["run", "--seed", "1", "--seeds", "2"], "take one of them"],
    ["a file that is no scenario", ["run", "./mine.txt"], ".ts, .mts, .js, .mjs, .json, .yaml or .yml file"],
    ["a starter that no file could hold", ["new", `${"m".repeat(101)}.yaml`], "at most 100"],
    ["a negative time", ["run", "node-loss", "--set", "timeline.0.at=-1s"], "not a negative one"],
    [
      "ten thousand processes",
      ["run", example, "--world", "local", "--set", "fleet.prices.instances=10000"],
      "--pack N lets nodes share them",
    ],
    [
      "more nodes than there can be",
      ["run", "node-loss", "--set", "fleet.orders.instances=1000000000"],
      "at most 100000",
    ],
    ["no nodes in a process", ["run", "--pack", "0"], "whole number from 1 on"],
    ["packs in docker", ["run", "node-loss", "--pack", "4", "--world", "docker"], "a container holds one node"],
    ["a load", ["run", "--load", "k5"], 'hint: did you mean "k6"?'],
    ["a load from outside of sim", ["run", "node-loss", "--load", "k6", "--world", "sim"], "hint: --world local"],
    ["a coordinator", ["run", "--coordinator", "saeta"], 'hint: did you mean "seata"?'],
    ["a real coordinator in local", ["run", "node-loss", "--coordinator", "seata"], "hint: --world docker"],
    ["determinism of the real world", ["run", "--check-determinism", "--world", "local"], "hint: --world sim"],
  ])("%s", async (_name, args, text) => {
    const { code, stdout, stderr } = await inProcess(directory, args);
    expect(stderr).toContain(text);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

describe("a Docker engine that isn't here ends with 3, before anything is run, and says how to get one", () => {
  test.concurrent.each([
    ["no engine", () => `unix://${directory}/none.sock`, /no Docker engine is here[^]*hint: install Docker Engine/],
    ["one that doesn't run", () => "tcp://127.0.0.1:1", /isn't running[^]*hint: start it/],
    ["a socket that is none", () => `unix://${main}`, /isn't running[^]*hint: start it/],
  ])("%s", async (_, host, message) => {
    const { code, stdout, stderr } = await start(["run", "node-loss", "--world", "sim,docker"], { DOCKER_HOST: host() })
      .ended;
    expect(stderr).toMatch(message);
    expect(stderr).toContain("use --world local, which needs none");
    expect(stdout).toBe("");
    expect(code).toBe(3);
  });
});

test("a load generator that isn't here ends with 3, and says where to get it", async () => {
  const child = spawn(process.execPath, [main, "run", "node-loss", "--load", "k6"], {
    cwd: directory,
    env: { NO_COLOR: "1", PATH: directory },
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(said).toMatch(/error: k6 can't be had[^]*hint: install it/);
  expect(code).toBe(3);
});

describe("a scenario file that is no scenario ends with 2, and is named", () => {
  test.concurrent.each([
    ["no-typescript", `\nconst y = ;`, "no-typescript.ts can't be read: Expression expected (at 2)"],
    ["throws", `\nthrow new Error("boom");`, "throws.ts can't be read: boom (at 2:7)"],
    ["throws-text", `throw "boom";`, "throws-text.ts throws boom"],
    ["missing-file", `import { readFileSync } from "node:fs"; readFileSync("/none");`, "can't be read: ENOENT"],
    ["nothing", `export const scenario = 1;`, "nothing.ts exports no scenario"],
    ["number", `export default 42;`, "number.ts is invalid"],
    ["exits", `process.exit(0);`, "exits.ts never gets to its end"],
    ["waits", `await new Promise(() => {});`, "waits.ts never gets to its end"],
  ])("%s", async (name, text, message) => {
    await writeFile(join(directory, `${name}.ts`), text);
    const { code, stdout, stderr } = await flyball("run", `./${name}.ts`, "--world", "sim");
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

test("two files with scenarios of one name end with 2: their runs would be in one place", async () => {
  for (const name of ["one.ts", "other.ts"]) await writeFile(join(directory, name), scenarioText);
  const { code, stderr } = await inProcess(directory, ["run", "./one.ts", "./other.ts", "--dry-run"]);
  expect(stderr).toContain('./one.ts and ./other.ts are both called "mine"');
  expect(code).toBe(2);
});

test("a scenario file that isn't there ends with 2, and is named", async () => {
  const { code, stdout, stderr } = await flyball("run", "./none.ts");
  expect(stderr).toContain("there is no file ./none.ts");
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("a scenario file that is where npm was called, and not where it went, is told of", async () => {
  const typedIn = join(directory, "typed-in");
  await mkdir(typedIn);
  await writeFile(join(typedIn, "there.ts"), scenarioText);
  const { code, stderr } = await start(["run", "there.ts"], { INIT_CWD: typedIn }).ended;
  expect(stderr).toContain(`say where it is: ${join(typedIn, "there.ts")}`);
  expect(code).toBe(2);
});

test("a run directory that can't be made ends with 3", async () => {
  await writeFile(join(directory, "file"), "");
  const { code, stderr } = await flyball("run", "node-loss", "--world", "sim", "--out", "file/below");
  expect(stderr).toMatch(/the directory file\/below can't be made[^]*hint: write elsewhere with --out DIR/);
  expect(code).toBe(3);
});

test.runIf(process.platform === "linux")("files that can't be written make an error with 3, told in full", async () => {
  // A device that is always full, where the history and the verdicts belong.
  await mkdir(join(directory, "full/node-loss-sim-1"), { recursive: true });
  for (const file of ["verdict.json", "node-loss-sim-1/history.ndjson", "node-loss-sim-1/verdict.json"]) {
    await symlink("/dev/full", join(directory, "full", file));
  }
  const { code, stdout, stderr } = await flyball("run", "node-loss", "--world", "sim", "--out", "full", "--json");
  const { verdict, runs } = JSON.parse(stdout) as InvocationResult;
  expect(verdict).toBe("error");
  expect(runs[0]).toMatchObject({
    verdict: "error",
    reason: expect.stringMatching(/ENOSPC.*\nmake room, or/) as string,
  });
  expect(runs[0]!.calls.total).toBeGreaterThan(0);
  expect(stderr).toMatch(/full\/verdict.json can't be written: ENOSPC.*make room, or write elsewhere/);
  expect(code).toBe(3);
});

describe("a choice of scenarios", () => {
  const listed = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await inProcess(directory, ["run", "--list", "--json", ...args]);
    return (JSON.parse(stdout) as { scenarios: { name: string }[] }).scenarios.map(({ name }) => name);
  };
  const run = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await flyball("run", "--world", "sim", "--json", "--out", "chosen", ...args);
    return (JSON.parse(stdout) as InvocationResult).runs.map(({ scenario }) => scenario);
  };

  test("--grep looks into names and titles, in both languages", async () => {
    expect(await listed("--grep", "^node-l")).toEqual(["node-loss"]);
    expect(await listed("--grep", "毫无察觉")).toEqual(["node-loss"]);
  });

  test("shards run everything once", async () => {
    const tour = await listed("--tag", "tour");
    const parts = await Promise.all([1, 2, 3].map((part) => run("--shard", `${part}/3`)));
    expect(parts.flat().sort()).toEqual([...tour].sort());
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThan(tour.length);
    expect(await listed("--tag", "tour", "--shard", "1/3")).toEqual(parts[0]);
  });

  test("--bail stops at the first failure, and --last-failed runs just what didn't pass", async () => {
    await writeFile(join(directory, "bad.ts"), scenarioText);
    expect(await run("node-loss", "./bad.ts", "graceful-shutdown", "--bail")).toEqual(["node-loss", "mine"]);
    expect(await run("--last-failed")).toEqual(["mine"]);
    expect(await listed("--last-failed")).toEqual(["mine"]);
    await run("node-loss");
    expect((await flyball("run", "--last-failed")).stderr).toContain("everything passed in the last run");
  });

  test("the reports lie in the run's directory", async () => {
    const { stderr } = await flyball(
      ...["run", "./bad.ts", "--world", "sim", "--out", "chosen", "--reporter", "junit,markdown,github"],
    );
    expect(stderr.split("\n")).toEqual(
      expect.arrayContaining(["! junit: chosen/junit.xml", "! markdown: chosen/report.md"]),
    );
    expect(await readFile(join(directory, "chosen/junit.xml"), "utf8")).toContain("<failure message=");
    expect(await readFile(join(directory, "chosen/report.md"), "utf8")).toContain("❌ fail: mine in sim");
  });
});

describe("a scenario file to begin with", () => {
  test("runs as it is, predicts what is measured, and is never overwritten", async () => {
    expect(await flyball("new", "first.yaml")).toMatchObject({ code: 0, stderr: "" });
    const { code, stdout } = await flyball("run", "./first.yaml", "--world", "sim", "--json", "--out", "first");
    expect((JSON.parse(stdout) as InvocationResult).runs).toMatchObject([{ scenario: "first", verdict: "pass" }]);
    expect(code).toBe(0);
    const again = await flyball("new", "first.yaml");
    expect(again.stderr).toContain("first.yaml exists already");
    expect(again.code).toBe(2);
  });

  test("a mistake in it is named with line and column", async () => {
    await flyball("new", "second.yaml");
    const path = join(directory, "second.yaml");
    await writeFile(path, (await readFile(path, "utf8")).replace("balancer: p2c", "balancr: p2c"));
    const { code, stderr } = await flyball("run", "./second.yaml", "--world", "sim");
    expect(stderr).toMatch(
      /\.\/second\.yaml:22:\d+: fleet\.shop\.calls\.balancr: there is no such key[^]*did you mean "balancer"/,
    );
    expect(code).toBe(2);
  });

  test("and so is one that shows only when the scenario is planned", async () => {
    await flyball("new", "third.yaml");
    const text = await readFile(join(directory, "third.yaml"), "utf8");
    const told = async (from: string, to: string): Promise<string> => {
      await writeFile(join(directory, "third.yaml"), text.replace(from, to));
      const { code, stderr } = await inProcess(directory, ["run", join(directory, "third.yaml"), "--dry-run"]);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await told("target: stock/0", "target: stok/0")).toMatch(
      /third in sim: .*third\.yaml:35:35: timeline\.0\.fault\.target: there is no node stok\/0[^]*did you mean "stock\/0"/,
    );
    expect(await told("- on: shop", "- on: shoop")).toMatch(/third\.yaml:29:9: load\.0\.on: "shoop" is no consumer/);
    expect(await told("detects: 92%", "detects: 98.9%")).toMatch(
      /third\.yaml:40:5: "stock success ≥ 99%" can count on/,
    );
    expect(await told("detects: 92%", "detects: 92%, during: 5s..3s")).toMatch(
      /third\.yaml:40:80: "5s\.\.3s" ends before/,
    );
    const twice = "timeline:\n  - { at: 3s, fault: { kind: kill, target: stock/0, for: 1s } }\n  #";
    expect(await told("timeline: #", twice)).toMatch(/third\.yaml:34:5: kill stock\/0 at 3 s: it is paused then/);
  });

  test("goes nowhere where it can't be written", async () => {
    const { code, stderr } = await inProcess(directory, ["new", join(directory, "nowhere/mine.yaml")]);
    expect(stderr).toMatch(/nowhere\/mine\.yaml can't be written: ENOENT[^]*hint: /);
    expect(code).toBe(3);
  });

  test("editors get a schema of it", async () => {
    const { code, stdout } = await flyball("schema");
    expect(JSON.parse(stdout)).toMatchObject({
      title: "Flyball scenario",
      required: expect.arrayContaining(["name", "fleet"]) as string[],
    });
    expect(code).toBe(0);
  });
});

test("a reader that goes away changes nothing of what a run finds", async () => {
  const { child, ended } = start(["run", "node-loss", "--world", "sim", "--seeds", "2", "--out", "unread"]);
  child.stdout.destroy();
  const { code, stderr } = await ended;
  expect(stderr).toBe("");
  expect(await readFile(join(directory, "unread/verdict.json"), "utf8")).toContain('"verdict": "pass"');
  expect(code).toBe(0);
});

test("--help shows the command and its options", async () => {
  const { code, stdout } = await flyball("run", "--help");
  expect(code).toBe(0);
  for (const option of [
    "--world",
    "--seed",
    "--seeds",
    "--set",
    "--out",
    "--json",
    "--reporter",
    "--list",
    "--dry-run",
  ]) {
    expect(stdout).toContain(option);
  }
});

test("--list shows every scenario in both languages, with its worlds", async () => {
  const { code, stdout } = await inProcess(directory, ["run", "--list", "--json"]);
  expect(code).toBe(0);
  const { scenarios } = JSON.parse(stdout) as { scenarios: { name: string; title: object; worlds: string[] }[] };
  expect(scenarios.find(({ name }) => name === "node-loss")).toMatchObject({
    title: { en: expect.any(String) as string, zh: expect.any(String) as string },
    worlds: ["sim", "local"],
  });
});

test("runs in real processes go side by side, where that doesn't disturb them", { timeout: 60_000 }, async () => {
  await writeFile(
    join(directory, "quiet.ts"),
    scenarioText.replace("mine", "quiet").replace("2s", "1s").replace("80%", "50%"),
  );
  const args = ["run", "./quiet.ts", "--world", "local", "--seeds", "2", "--set", "fleet.orders.errorRate=0"];
  await flyball(...args, "--out", "quiet");
  // A run's history is written from its first record on until its last.
  const [one, other] = await Promise.all(
    [1, 2].map((seed) => stat(join(directory, `quiet/quiet-local-${seed}/history.ndjson`))),
  );
  expect(one!.birthtimeMs).toBeLessThan(other!.mtimeMs);
  expect(other!.birthtimeMs).toBeLessThan(one!.mtimeMs);
});

test("--dry-run prints the plan and leaves nothing behind", async () => {
  const args = ["run", "node-loss", "--dry-run", "--world", "sim", "--out", "dry"];
  const { code, stdout } = await inProcess(directory, args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/fleet[^]*registry\/0[^]*load[^]*calls in[^]*timeline[^]*kill orders\/1[^]*checks[^]*trials/);
  await expect(readFile(join(directory, "dry/verdict.json"))).rejects.toThrow("ENOENT");
});

test("a scenario of one's own runs from its file; what it expects fails with 1, one document on stdout and a replay", async () => {
  await writeFile(join(directory, "mine.ts"), scenarioText);
  const args = [
    "run",
    "./mine.ts",
    "--world",
    "sim",
    "--seed",
    "7",
    "--set",
    "fleet.orders.errorRate=60%",
    "--out",
    "out",
  ];
  const { code, stdout, stderr } = await flyball(...args, "--json");
  const result = JSON.parse(stdout) as InvocationResult;
  expect(result).toMatchObject({ version: 1, verdict: "fail", runs: [{ scenario: "mine", world: "sim", seed: 7 }] });
  expect(stderr).toContain("FAIL");
  expect(result.runs[0]!.replay).toBe(
    "npm run scenario -- ./mine.ts --world sim --seed 7 --set fleet.orders.errorRate=60%",
  );
  expect(JSON.parse(await readFile(join(directory, "out/verdict.json"), "utf8"))).toEqual(result);
  expect(await readFile(join(directory, "out/mine-sim-7/history.ndjson"), "utf8")).toContain('"type":"end"');
  expect(code).toBe(1);
});

test("with --set it can be made to pass, with 0", async () => {
  await writeFile(join(directory, "mine.ts"), scenarioText);
  const { code, stdout } = await flyball("run", "./mine.ts", "--world", "sim", "--set", "fleet.orders.errorRate=0");
  expect(stdout).toContain("PASS");
  expect(code).toBe(0);
});

test("--check-determinism runs twice and says that nothing differs", async () => {
  const { code, stdout } = await flyball("run", "node-loss", "--check-determinism", "--out", "twice");
  expect(stdout).toMatch(/two runs are the same in all \d+ events/);
  expect(code).toBe(0);
});

test("Ctrl-C stops, reports what there is, and ends with 130", async () => {
  const { child, ended } = start([
    "run",
    "node-loss",
    "--world",
    "sim",
    "--seeds",
    "10000",
    "--json",
    "--out",
    "interrupted",
  ]);
  let text = "";
  child.stderr.on("data", (more: string) => (text += more));
  while (!text.includes("seed 3 ") && child.exitCode === null) await sleep(20);
  child.kill("SIGINT");
  const { code, stdout, stderr } = await ended;
  expect(stderr).toContain("stopping");
  expect((JSON.parse(stdout) as InvocationResult).runs.length).toBeGreaterThan(2);
  expect(code).toBe(130);
});

test("what Ctrl-C keeps from its turn isn't told as a run, also where four belong together", async () => {
  await writeFile(join(directory, "long.ts"), scenarioText.replace("mine", "long").replace("2s", "1000s"));
  const args = ["run", "./long.ts", "--world", "sim,local", "--seeds", "4", "--json", "--out", "long"];
  const { child, ended } = start(args);
  child.stderr.once("data", () => child.kill("SIGINT"));
  const { code, stdout } = await ended;
  const { verdict, runs } = JSON.parse(stdout) as InvocationResult;
  expect(runs.filter(({ seed }) => seed > 1)).toEqual([]);
  expect(verdict).toBe("inconclusive");
  expect(code).toBe(130);
}, 60_000);
