import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, expect, test } from "vitest";

import { inProcess } from "./in-process.fixture.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flyball-preflight-"));
  mkdirSync(join(directory, "rules"));
  mkdirSync(join(directory, "none"));
  write(
    "fleet.yaml",
    "services: { orders: { instances: [ { id: orders/0, address: 10.0.0.1:1, labels: { region: r1 } } ] } }",
  );
  write("good/orders.condition-router.yaml", rule("r1"));
  write("rules/orders.condition-router.yaml", rule("r9"));
  write("rules/notes.txt", "not a rule");
  write("warned/orders.condition-router.yaml", rule("r1").replace("force: true", "force: false"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const rule = (region: string): string =>
  `configVersion: v3.0\nkey: orders\nenabled: true\nforce: true\nconditions:\n  - method=pay => region=${region}\n`;

function write(name: string, content: string): void {
  mkdirSync(join(directory, name, ".."), { recursive: true });
  writeFileSync(join(directory, name), content);
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function preflight(...args: readonly string[]): Promise<Ended> {
  const { code, stdout, stderr } = await inProcess(directory, ["preflight", ...args]);
  return { code, out: stdout, err: stderr };
}

/** As a process of its own, which ends whatever its connections are at. */
function preflightAlone(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, "preflight", ...args], { cwd: directory }, (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err });
    });
  });
}

test("findings are told with a request, and end with 1", async () => {
  const { code, out } = await preflight("rules", "--instances", "fleet.yaml");
  expect(code).toBe(1);
  expect(out).toContain("✗ no-instance  rules/orders.condition-router.yaml:6");
  expect(out).toContain("any-caller → orders.pay  ▸ nobody");
  const json = await preflight("rules", "--instances", "fleet.yaml", "--json");
  expect(JSON.parse(json.out)).toMatchObject({
    version: 1,
    verdict: "fail",
    findings: [{ kind: "no-instance", line: 6, request: { method: "pay", to: [{ share: 1, count: 0 }] } }],
  });
});

test("nothing found ends with 0, warnings only with --strict with 1", async () => {
  expect(await preflight("good", "--instances", "fleet.yaml")).toMatchObject({ code: 0, err: "" });
  const warned = await preflight("warned/orders.condition-router.yaml", "--instances", "fleet.yaml");
  expect(warned).toMatchObject({ code: 0, out: expect.stringContaining("! dubbo-go") as string });
  expect((await preflight("warned", "--instances", "fleet.yaml", "--strict")).code).toBe(1);
});

test.each([
  [["rules"], /which instances/],
  [["--instances", "fleet.yaml"], /which rules/],
  [["nowhere", "--instances", "fleet.yaml"], /nowhere can't be read/],
  [["none", "--instances", "fleet.yaml"], /there is no rule/],
  [["good", "--instances", "rules/notes.txt"], /the file|expected/],
  [["good", "warned", "--instances", "fleet.yaml"], /is there twice/],
  [["good", "--instances", "etcd://127.0.0.1:1"], /no registry for etcd/],
])("usage: %j", async (args, message) => {
  expect(await preflight(...args)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(message) as string });
});

test("a registry that breaks off ends with 3", { timeout: 30_000 }, async () => {
  const server = createServer((socket) => socket.destroy());
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  try {
    const { code, err } = await preflightAlone("good", "--instances", `zookeeper://127.0.0.1:${port}`);
    expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining("can't be asked") as string });
  } finally {
    server.close();
  }
});
