import { chmod, cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { metrics as metricsCheck } from "../harness/judge/metrics.ts";
import { metrics } from "../harness/scenario/builders.ts";
import { faultWindows } from "../harness/telemetry/fault-windows.ts";
import { isScrapedSince, prometheusAt, readMetrics, type Prometheus } from "../harness/telemetry/prometheus.ts";
import { targetsFile } from "../harness/telemetry/targets.ts";
import { prometheus as prometheusServer, seata, type ServerKind } from "../harness/worlds/docker/servers.ts";
import { describeReal, startTestServer } from "../harness/worlds/docker/testing.ts";
import { freePorts } from "../runtime/node/free-ports.ts";
import { createPublisher } from "../harness/worlds/publisher.ts";
import { createMetrics } from "../runtime/node/telemetry/metrics.ts";
import { serveMetrics, type Exposition } from "../runtime/node/telemetry/exposition.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import { expressionsOf } from "./expressions.ts";
import { startTestFleet, type TestFleet } from "./fleet.ts";
import { dashboards } from "./table.ts";

const run = "test-run";
/**
 * Of kinds that act on an instance which is killed, and on one that fails now and then; apart, for one would keep the other from acting.
 */
const protection: Readonly<Record<string, object>> = {
  "storefront/0": {
    outlier: { intervalMs: 1_000, consecutiveErrors: 2, maxEjectionPercent: 50 },
    concurrencyLimit: { kind: "aimd", min: 1 },
  },
  "storefront/2": { breaker: { scope: "instance", windowMs: 1_000, minCalls: 1, errorRatio: 0.1 } },
};
const canary = (percent: number): string =>
  `configVersion: v1.0\nscope: service\nkey: orders\nenabled: true\nsplit:\n  - tag: v2\n    percent: ${percent}\n`;

/**
 * A fleet that has been through something, watched by a real Prometheus: four instances of orders with weights and tags, of which one is
 * killed and one fails; three callers, one of which ejects who fails and one has a breaker for each instance; a canary rule, its second
 * version, and one that can't be read.
 */
describeReal("Prometheus, and a fleet", () => {
  let directory: string;
  let fleet: TestFleet;
  let prometheus: Prometheus;
  let url: string;
  const served: Exposition[] = [];
  const startedMs = Date.now();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "prometheus-"));
    await chmod(directory, 0o755);
    await cp(join(import.meta.dirname, "prometheus/prometheus.yml"), join(directory, "prometheus.yml"));
    await cp(join(import.meta.dirname, "prometheus/rules.yml"), join(directory, "rules.yml"));
    const targets = targetsFile(join(directory, `targets/${run}.json`));

    fleet = await startTestFleet();
    const [registry, center] = await Promise.all([
      fleet.start("registry/0", "registry", {}),
      fleet.start("config-center/0", "config-center", {}),
    ]);
    const transport = tripleTransport({ clock: fleet.clock });
    const publish = createPublisher({ clock: fleet.clock, transport, address: center.address });
    await publish("orders.canary-router", canary(20));
    const where = { registry: registry.address, configCenter: center.address, sessionTimeoutMs: 1_500 };
    const work = { serviceTime: { kind: "exponential", meanUs: 5_000 } };
    const provider = (index: number, weight: number, tag: string, more = {}) =>
      fleet.start(`orders/${index}`, "provider", {
        ...{ service: "orders", weight, metadata: { "dubbo.tag": tag }, ...work, ...where, ...more },
      });
    await Promise.all([
      provider(0, 200, "v1"),
      provider(1, 100, "v1"),
      provider(2, 100, "v2"),
      provider(3, 100, "v1", { errorRate: 0.2 }),
    ]);
    const callers = await Promise.all(
      ["storefront/0", "storefront/1", "storefront/2"].map((id) =>
        fleet.start(id, "consumer", {
          ...{ application: "storefront", ...where },
          calls: { service: "orders", retries: 1, ...protection[id] },
        }),
      ),
    );

    const seataMetrics = 9898;
    const coordinator = await startTestServer({
      ...seata,
      env: {
        ...seata.env,
        JAVA_OPT: `-Dseata.metrics.enabled=true -Dseata.metrics.registry-type=compact -Dseata.metrics.exporter-list=prometheus -Dseata.metrics.exporter-prometheus-port=${seataMetrics}`,
      },
      ports: [...seata.ports, seataMetrics],
    });
    const bank = { coordinator: `seata://${coordinator.addressOf(8091)}`, ...where };
    await Promise.all([fleet.start("account/0", "account", bank), fleet.start("stock/0", "stock", bank)]);
    const parts = { account: { service: "account" }, stock: { service: "stock" } };
    await fleet.start("order/0", "order", { ...parts, abortRate: 0.2, ...bank });
    const buyer = await fleet.start("buyer/0", "consumer", {
      ...{ application: "buyer", calls: { service: "order", retries: 0, timeoutMs: 5_000 } },
      ...{ key: { name: "user", count: 100 }, ...where },
    });
    await targetsFile(join(directory, "targets/optional/seata.json")).add({
      ...{ address: coordinator.addressOf(seataMetrics), run, node: "seata/0" },
    });

    const windows = faultWindows(run);
    const faults = await serveMetrics({ ...windows, address: "127.0.0.1:0" });
    served.push(faults);
    const faultTargets = targetsFile(join(directory, `targets/faults/${run}.json`));
    await faultTargets.add({ address: faults.address, run, node: "faults" });
    await Promise.all(
      [...fleet.nodes.values()].map(({ id, metricsAddress: address }) => targets.add({ address, run, node: id })),
    );

    const [port] = await freePorts(1);
    url = `http://127.0.0.1:${port}`;
    const onThisHost: ServerKind = {
      ...prometheusServer,
      command: [
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--enable-feature=exemplar-storage",
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      ports: [],
      isReady: async () => (await fetch(`${url}/-/ready`)).ok,
    };
    await startTestServer(onThisHost, { network: "host", mounts: [{ from: directory, to: "/etc/prometheus" }] });
    prometheus = prometheusAt(url);

    // Every node is seen before anything happens, and the first calls before the others.
    await until(async () => (await prometheus.query('up{job="flyball"} == 1')).length === fleet.nodes.size);
    const driven = Promise.all([...callers.map((caller) => caller.drive(40, 14)), buyer.drive(5, 14)]);
    await sleep(5_000);
    await publish("orders.canary-router", canary(50));
    await sleep(1_000);
    await publish("orders.canary-router", "split: [");
    const kill = { kind: "kill", target: "orders/1" } as const;
    const what = { kind: "fault", fault: kill, forUs: undefined, nodes: ["orders/1"], links: [] } as const;
    await fleet.nodes.get("orders/1")!.kill();
    windows.hear({ type: "step", atUs: 0, index: 0, what, phase: "applied" });
    // One caller dies with the load under way.
    await sleep(5_000);
    await fleet.nodes.get("storefront/1")!.kill();
    await driven;
    await transport.close();
  }, 90_000);

  afterAll(async () => {
    await fleet.close();
    await Promise.all(served.map((exposition) => exposition.close()));
    await rm(directory, { recursive: true, force: true });
  });

  describe.each(Object.values(dashboards).map((built) => [built.title ?? "", built] as const))("%s", (_, built) => {
    test.each(expressionsOf(built).map(({ panel, expr }) => [panel, expr] as const))(
      "has data for %s: %s",
      async (__, expr) => {
        const asked = expr.replaceAll("$run", run);
        await until(async () => (await prometheus.query(asked)).length > 0, asked);
        const found = await prometheus.query(asked);
        expect(found.filter(({ value }) => !Number.isNaN(value)).length, asked).toBeGreaterThan(0);
      },
    );
  });

  test("every rule can be evaluated, and what is recorded has data", async () => {
    await until(async () => (await rules()).every(({ health }) => health === "ok"));
    const all = await rules();
    expect(all.filter(({ health, lastError }) => health !== "ok" || lastError !== undefined)).toEqual([]);
    expect(all.length).toBeGreaterThan(20);
    for (const { type, name, query } of all) {
      // An alert's expression has data when it fires; that it can be asked is enough.
      const found = await prometheus.query(type === "recording" ? name : query);
      if (type === "recording") expect(found.length, name).toBeGreaterThan(0);
    }
  });

  test("what went wrong raises its alerts", async () => {
    const firing = async (name: string, labels: string): Promise<boolean> =>
      (await prometheus.query(`ALERTS{alertname="${name}",alertstate="firing",run="${run}",${labels}}`)).length > 0;
    await until(() => firing("FlyballNodeDown", 'instance="orders/1"'));
    await until(() => firing("FlyballRuleRejected", 'instance="storefront/0"'));
    expect(await firing("FlyballNoProvider", 'instance="storefront/0"')).toBe(false);
  });

  test("shares follow the weights, as they were until the kill", async () => {
    const share = `peer_instance:flyball_instance_weight:share{run="${run}",tag="v1"}`;
    const found = await prometheus.samples(share, Date.now() - startedMs);
    const first = found.map(({ labels, samples }) => [labels["peer_instance"], samples[0]?.value]);
    expect(new Map(first as [string, number][])).toEqual(
      new Map([
        ["orders/0", 0.5],
        ["orders/1", 0.25],
        ["orders/3", 0.25],
      ]),
    );
  });

  test("a call whose trace is recorded can be found from its bucket", async () => {
    const counted = createMetrics({ clock: fleet.clock, node: "traced/0" });
    const { emit } = counted.counting({ emit: () => undefined });
    const { contentType } = counted;
    const traced = await serveMetrics({ address: "127.0.0.1:0", contentType, render: () => counted.render() });
    served.push(traced);
    await targetsFile(join(directory, "targets/traced.json")).add({ address: traced.address, run, node: "traced/0" });
    const ids = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
    const call = { call: 1, service: "payments", method: "/Pay", dueUs: 0 };
    emit({ type: "call.begin", atUs: 0, ...call, ...ids });
    emit({ type: "call.end", atUs: 300_000, call: 1, code: "OK", attempts: [] });
    const query = new URLSearchParams({
      query: 'rpc_client_call_duration_seconds_bucket{instance="traced/0"}',
      start: String(startedMs / 1000),
      end: String(Date.now() / 1000 + 60),
    });
    const found = async (): Promise<string> =>
      (await fetch(`${url}/api/v1/query_exemplars?${query.toString()}`)).text();
    await until(async () => (await found()).includes(ids.traceId), "an exemplar");
    expect(await found()).toContain('"le":"0.5"');
  });

  test("a node costs no more than a few hundred series for each service that it calls", async () => {
    const found = await prometheus.query(`count by (instance) ({run="${run}",job="flyball"})`);
    expect(found.length).toBeGreaterThan(5);
    // An order reserves, confirms and cancels with two services; the others call one, or none.
    const callees = (instance: string | undefined): number => (instance === "order/0" ? 2 : 1);
    expect(found.filter(({ labels, value }) => value >= 1_000 * callees(labels["instance"]))).toEqual([]);
  });

  test("counts are the history's: equal for those that stopped in order, at most for the killed", async () => {
    const living = [...fleet.nodes.values()].filter(({ id }) => id !== "orders/1" && id !== "storefront/1");
    const isWhole = new Map<string, boolean>();
    for (const { id, process } of living.reverse()) {
      await process.ask({ type: "drain" }, "drained");
      await process.ask({ type: "collect" }, "collected");
      isWhole.set(id, await isScrapedSince(prometheus, { run, node: id }, Date.now()));
      process.send({ type: "stop" });
      await process.ended;
    }
    expect([...isWhole.values()]).toEqual(living.map(() => true));

    const { clock, collector } = fleet;
    const runUsAt = (wallMs: number): number => clock.nowUs() + Math.round((wallMs - clock.wallMs()) * 1000);
    for (const node of fleet.nodes.keys()) {
      collector.add(
        await readMetrics(prometheus, {
          ...{ run, node, runUsAt, atUs: clock.nowUs() },
          windowMs: Date.now() - startedMs,
          isWhole: isWhole.get(node) ?? false,
        }),
      );
    }
    const history = fleet.history();
    const check = metrics("orders");
    const plan = {
      check,
      name: "metrics",
      phase: "safety",
      expectedTrials: 1,
      falseAlarm: 0,
      detects: "1 call",
    } as const;
    const result = metricsCheck.judge({ ...plan, extraAttemptsMax: 1 }, history);
    expect(result).toMatchObject({ verdict: "pass" });
    expect(result.trials).toBeGreaterThan(40 * 14);

    // And it would tell of a single call.
    const off = history.metrics.map((record) =>
      record.node === "storefront/0"
        ? { ...record, calls: record.calls.map((one) => ({ ...one, count: one.count + (one.code === "OK" ? 1 : 0) })) }
        : record,
    );
    expect(metricsCheck.judge({ ...plan, extraAttemptsMax: 1 }, { ...history, metrics: off })).toMatchObject({
      verdict: "fail",
    });
  }, 60_000);

  async function rules() {
    const answer = (await (await fetch(`${url}/api/v1/rules`)).json()) as {
      readonly data: {
        readonly groups: readonly {
          readonly rules: readonly {
            readonly type: "recording" | "alerting";
            readonly name: string;
            readonly query: string;
            readonly health: string;
            readonly lastError?: string;
          }[];
        }[];
      };
    };
    return answer.data.groups.flatMap((group) => group.rules);
  }
});

/** Asks until it is so; a test's own time is the bound. */
async function until(isSo: () => Promise<boolean>, what = "it"): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await isSo()) return;
    await sleep(200);
  }
  throw new Error(`${what} didn't happen within 20 s`);
}
