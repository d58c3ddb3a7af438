import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { readHistory } from "../history/reader.ts";
import { runScenario } from "../run.ts";
import { consumer, constant, latency, provider, scenario, successRate } from "../scenario/builders.ts";
import { docker, invocation, describeReal } from "../worlds/docker/testing.ts";
import { label } from "../worlds/docker/labels.ts";
import { localWorld } from "../worlds/local/world.ts";
import { k6Load } from "../load/k6/k6.ts";

/** As it is installed by a user: the image, unless the environment names another one. */
const driver = k6Load({
  labels: { [label.invocation]: invocation },
  env: { FLYBALL_IMAGE_K6: process.env["FLYBALL_IMAGE_K6"] ?? "grafana/k6:1.8.1" },
});

const shop = (orders: Parameters<typeof provider>[0]) =>
  scenario({
    name: "shop",
    title: { en: "Shop", zh: "商店" },
    explanation: { en: "A shop.", zh: "一家商店。" },
    fleet: {
      storefront: consumer({
        instances: 2,
        calls: "orders",
        retries: 0,
        timeout: "5s",
        key: { name: "user", count: 20 },
      }),
      orders: provider({ instances: 2, ...orders }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("99%").detects("85%"), latency("orders").p90("500ms").detects("40%")],
  });

/** A run that its machine spoiled is made once more, as the command line does. */
async function run(orders: Parameters<typeof provider>[0], out?: string) {
  const once = () => runScenario(shop(orders), { world: localWorld(), seed: 1, load: driver, out });
  const first = await once();
  return first.result.verdict === "inconclusive" ? once() : first;
}

describeReal("the real k6", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "k6-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const containers = async (): Promise<number> =>
    (await docker.listContainers({ all: true, filters: { label: [`${label.invocation}=${invocation}`] } })).length;

  test("is there", async () => {
    expect(await driver.missing()).toBeUndefined();
  });

  test("makes exactly the plan's calls, when they were due, and as many as it says", async () => {
    const { result, history, plan } = await run({}, directory);
    expect(result.checks.map(({ name }) => name)).toEqual([
      "orders success ≥ 99%",
      "orders p90 ≤ 500 ms",
      "k6: each request is a call",
      "k6: orders success ≥ 99%",
      "k6: orders p90 ≤ 500 ms",
    ]);
    // A machine that is busy makes a run inconclusive; what is counted here holds all the same.
    for (const { name, verdict } of result.checks) expect(verdict, name).toMatch(/^(pass|inconclusive)$/);
    expect(history.loadReport).toMatchObject({ calls: 300, failed: 0 });
    expect(history.loadReport!.thresholds.find(({ metric }) => metric === "http_req_failed")).toMatchObject({
      ok: true,
      observed: 0,
    });
    for (const { node, dueUs } of plan.drives) {
      const made = history.calls.filter((call) => call.node === node && call.service === "orders" && call.dueUs >= 0);
      expect(made.map((call) => call.dueUs).toSorted((a, b) => a - b)).toEqual(dueUs);
      expect(new Set(made.map(({ attempts }) => attempts[0]!.instance)).size).toBe(2);
    }
    expect((await readHistory(join(directory, "history.ndjson"))).loadReport).toEqual(history.loadReport);
    expect(result.replay).toContain("--load k6");
    expect(await containers()).toBe(0);
  }, 90_000);

  test("finds what the judge finds: failures, and calls that take too long", async () => {
    const failing = await run({ errorRate: "50%" });
    // Where the load fell far behind, not even counts are a proof; what was counted is the same.
    for (const name of ["orders success ≥ 99%", "k6: orders success ≥ 99%"]) {
      const found = failing.result.checks.find((check) => check.name === name)!;
      expect(found.verdict).toMatch(failing.result.reason === undefined ? /^fail$/ : /^(fail|inconclusive)$/);
      expect(Number.parseFloat(found.observed)).toBeLessThan(95);
    }
    const { failed } = failing.history.loadReport!;
    const orders = failing.history.calls.filter(({ service, dueUs }) => service === "orders" && dueUs >= 0);
    expect(failed).toBe(orders.filter(({ code }) => code !== "OK").length);

    const slow = await run({ serviceTime: "700ms" });
    expect(slow.history.loadReport!.thresholds.map(({ metric, ok }) => [metric, ok])).toEqual(
      expect.arrayContaining([
        ["http_req_failed", true],
        ["http_req_duration", false],
      ]),
    );
    // Where the machine was late, times are no proof.
    for (const name of ["orders p90 ≤ 500 ms", "k6: orders p90 ≤ 500 ms"]) {
      expect(slow.result.checks.find((check) => check.name === name)?.verdict).toMatch(/^(fail|inconclusive)$/);
    }
  }, 180_000);

  test("is ended with the run, in the middle of its load too", async () => {
    const abort = new AbortController();
    const running = runScenario(shop({}), {
      world: localWorld(),
      seed: 1,
      load: driver,
      signal: abort.signal,
      onProgress: ({ phase, fraction = 0 }) => {
        if (phase === "running" && fraction > 0.2) abort.abort();
      },
    });
    const { result } = await running;
    expect(result.verdict).toBe("inconclusive");
    expect(await containers()).toBe(0);
  }, 60_000);
});
