import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { inProcess } from "./in-process.fixture.ts";

const main = join(import.meta.dirname, "main.ts");
let directory: string;

function flyball(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], { cwd: directory, env: { ...process.env, NO_COLOR: "1" } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "flyball-compare-"));
  await flyball("run", "node-loss", "--world", "sim", "--out", "a");
  await flyball("run", "node-loss", "--world", "sim", "--set", "fleet.storefront.retries=0", "--out", "b");
  await flyball("run", "node-loss", "--world", "sim", "--seeds", "2", "--out", "two");
}, 60_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A copy of a good run, spoiled. */
async function spoiled(name: string, spoil: (path: string) => Promise<void>): Promise<string> {
  const path = join(directory, name);
  await cp(join(directory, "a/node-loss-sim-1"), path, { recursive: true });
  await spoil(path);
  return name;
}

test("two runs of one thing are the same: exit code 0", async () => {
  const { code, stdout } = await inProcess(directory, ["compare", "a", "a/node-loss-sim-1"]);
  expect({ code, first: stdout.split("\n")[0] }).toEqual({ code: 0, first: "nothing differs by more than chance" });
});

test("without its retries the fleet fails calls: exit code 1, and the document says where", async () => {
  const { code, stdout } = await inProcess(directory, ["compare", "a", "b", "--json"]);
  const document = JSON.parse(stdout) as {
    readonly outcome: string;
    readonly notes: readonly string[];
    readonly rows: readonly { readonly quantity: string; readonly isDifferent: boolean }[];
  };
  expect(code).toBe(1);
  expect(document.outcome).toBe("differs");
  expect(document.notes).toEqual(["node-loss itself was changed between them"]);
  expect(document.rows.filter(({ isDifferent }) => isDifferent).map(({ quantity }) => quantity)).toEqual([
    "orders success",
    "orders UNAVAILABLE",
  ]);
});

describe("what is no run ends with 2, and says what it is", () => {
  const refuses = async (path: string, says: string): Promise<void> => {
    const { code, stderr } = await inProcess(directory, ["compare", "a", path]);
    expect(stderr).toContain(says);
    expect(stderr).toContain("hint: ");
    expect(code).toBe(2);
  };

  test("nothing at all", () => refuses("nowhere", "there is no such directory"));
  test("a file", () => refuses("a/verdict.json", "it is a file"));
  test("several runs", () => refuses("two", "name one of them: two/node-loss-sim-1, two/node-loss-sim-2"));

  test("a history of another version", async () => {
    const path = await spoiled("newer", async (run) => {
      const file = join(run, "history.ndjson");
      await writeFile(file, (await readFile(file, "utf8")).replace('"version":1', '"version":99'));
    });
    await refuses(path, "has version 99; this Flyball reads version 1");
  });

  test("a history with a line that is none", async () => {
    const path = await spoiled("torn", async (run) => {
      const file = join(run, "history.ndjson");
      await writeFile(file, (await readFile(file, "utf8")).replace("\n", "\n{torn\n"));
    });
    await refuses(path, "history.ndjson:2 is no history record");
  });

  test("a run that was never judged", async () => {
    await refuses(await spoiled("unjudged", (run) => rm(join(run, "verdict.json"))), "verdict.json can't be read");
  });

  test("a verdict of another kind", async () => {
    const path = await spoiled("other", (run) => writeFile(join(run, "verdict.json"), `{"scenario":"x","checks":3}`));
    await refuses(path, "is no run's verdict: verdict");
  });
});
