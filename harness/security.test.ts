import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { GuardSettings } from "../runtime/security/guard.ts";
import { openWorld } from "./cli/worlds.ts";
import { runScenario } from "./run.ts";
import { at, callsEnd, consumer, constant, provider, scenario, successRate } from "./scenario/builders.ts";
import { secretMark } from "./scenario/secrets.ts";
import type { WorldName } from "./scenario/plan.ts";
import type { Sabotage } from "./worlds/world.ts";

/** Everything on that could write down what it sees: traces, tasks, access logs. */
const talkative = (length: string) =>
  scenario({
    name: "talkative",
    title: { en: "Talkative", zh: "话多" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders", credentials: { accessKey: "storefront" } }),
      intruder: consumer({ instances: 1, calls: "orders", credentials: { accessKey: "storefront", forged: true } }),
      orders: provider({
        guard: {
          token: true,
          accessKeys: ["storefront"],
          maxSkew: "60s",
          allow: [{ callers: ["storefront"], methods: ["*"] }],
        },
        calls: "payments",
        credentials: { accessKey: "orders" },
      }),
      payments: provider({ guard: { accessKeys: ["orders"] } }),
    },
    tracing: { sample: 1 },
    tasks: true,
    rules: { "orders.configurators": "configs: [{ parameters: { accesslog: true } }]" },
    load: [constant("200/s").on("storefront").for(length), constant("200/s").on("intruder").for(length)],
    timeline: [at("100ms").publish("payments.configurators", "configs: [{ parameters: { accesslog: true } }]")],
    expect: [
      successRate("orders").from("storefront").atLeast("90%").detects("20%"),
      callsEnd("orders", "UNAUTHENTICATED").from("intruder").atLeast("90%").detects("20%"),
      successRate("payments").atLeast("90%").detects("20%"),
    ],
  });

let out: string;
beforeEach(async () => void (out = await mkdtemp(join(tmpdir(), "flyball-security-"))));
afterEach(() => rm(out, { recursive: true }));

/** Every file of the run, as one text. */
async function written(): Promise<string> {
  const files = (await readdir(out, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const texts = await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), "utf8")));
  return [...files.map(({ name }) => name), ...texts].join("\n");
}

async function run(name: WorldName, sabotage?: Sabotage): Promise<string> {
  const world = await openWorld(name);
  const { history } = await runScenario(talkative("1s"), { world, seed: 1, out, sabotage });
  await world.close?.();
  // Whatever a busy machine did to the load: the guards worked, by secrets that were really used.
  const codesOf = (caller: string): unknown =>
    [
      ...new Set(history.calls.filter(({ node }) => node === caller).map(({ service, code }) => `${service} ${code}`)),
    ].sort();
  expect(codesOf("intruder/0")).toContain("orders UNAUTHENTICATED");
  expect(codesOf("storefront/0")).toContain("orders OK");
  expect(codesOf("orders/0")).toContain("payments OK");
  expect(history.accesses.some(({ service }) => service === "payments")).toBe(true);
  expect(history.spans.length).toBeGreaterThan(100);
  return written();
}

/** A signature in base64: 32 bytes. */
const signature = /[A-Za-z0-9+/]{43}=/;

describe("nothing in a run's directory tells a secret", () => {
  test("in sim, where they are known to the test", async () => {
    const settings: GuardSettings[] = [];
    const text = await run("sim", {
      policies: (_node, policies) => ({
        ...policies,
        authentication: (own, service) => {
          settings.push(own);
          return policies.authentication(own, service);
        },
      }),
    });
    const secrets = settings.flatMap(({ token, accessKeys = {} }) => [
      ...(token === undefined ? [] : [token]),
      ...Object.values(accessKeys),
    ]);
    expect(new Set(secrets).size).toBe(3);
    expect(settings[0]!.maxSkewMs).toBe(60_000);
    expect(text).toContain("access-orders-0.log");
    for (const secret of secrets) {
      expect(secret).toMatch(new RegExp(`^${secretMark}[0-9a-f]{48}$`));
      expect(text).not.toContain(secret);
    }
    expect(text).not.toContain(secretMark);
    expect(text).not.toMatch(signature);
  });

  test("in local", { timeout: 60_000 }, async () => {
    const text = await run("local");
    expect(text).toContain("access-orders-0.log");
    expect(text).not.toContain(secretMark);
    expect(text).not.toMatch(signature);
  });
});
