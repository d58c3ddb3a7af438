import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { prometheusAt } from "../harness/telemetry/prometheus.ts";
import { docker, imageOf, noCompose, uniqueName } from "../harness/testing/docker.ts";
import { expressionsOf } from "./expressions.ts";
import { dashboards } from "./table.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const project = uniqueName();
const image = `${project}:fleet`;
const reason =
  process.env["FLYBALL_DOCKER"] === "1" ? noCompose : "FLYBALL_DOCKER=1 runs it against real servers in containers";

const ports = ["GATEWAY", "ZOOKEEPER", "JAEGER", "OTLP", "PROMETHEUS", "GRAFANA", "NACOS", "NACOS_GRPC"];
const env = {
  ...process.env,
  FLYBALL_IMAGE_FLEET: image,
  FLYBALL_K6_DURATION: "3s",
  FLYBALL_K6_RATE: "20",
  FLYBALL_RULES_EVERY_MS: "5000",
  ...Object.fromEntries(
    [...ports, "CONSUL", "POSTGRES", "SEATA", "SEATA_HTTP"].map((port) => [`FLYBALL_PORT_${port}`, "0"]),
  ),
};

const compose = (...args: readonly string[]): Promise<string> =>
  docker(["compose", "--project-directory", root, "--project-name", project, ...args], env);

/** Where a port of a service is published. */
const addressOf = (service: string, port: number): Promise<string> => compose("port", service, String(port));

/** Asks until the answer is as wanted: what is scraped and exported takes a few seconds. */
async function eventually<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const answer = await ask();
    if (isRight(answer) || tries >= 60) return answer;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

const json = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;

describe.skipIf(reason !== undefined)(`docker compose${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  /** Everything but Grafana, whose image isn't everywhere, and k6, which comes and goes. */
  const started = [
    ...["storefront-0", "gateway-0", "orders-0", "orders-1", "payments-0"],
    ...["buyer-0", "order-0", "account-0", "stock-0"],
    ...["homepage-0", "recommend-0", "recommend-1", "rules-0"],
    ...["zookeeper", "nacos", "consul", "jaeger", "prometheus", "postgres", "seata"],
  ];

  beforeAll(async () => {
    const node = imageOf("node", "node:24.21.0-bookworm-slim");
    const args = ["build", "--quiet", "--tag", image, "--build-arg", `NODE_IMAGE=${node}`];
    await docker([...args, "--file", `${root}/services/Dockerfile`, root], { ...process.env, DOCKER_BUILDKIT: "0" });
    try {
      await compose("--profile", "all", "up", "--detach", "--no-build", "--wait", "--wait-timeout", "420", ...started);
    } catch (error) {
      const logs = await compose("--profile", "all", "logs", "--tail", "15").catch(String);
      throw new Error(`${(error as Error).message}\n${logs}`, { cause: error });
    }
  }, 600_000);
  afterAll(async () => {
    await compose("--profile", "all", "down", "--volumes", "--timeout", "5");
    await docker(["rmi", "--force", image]);
  }, 120_000);

  test.each(["", "nacos", "consul", "transactions", "k6", "all"])('is valid with profile "%s"', async (profile) => {
    const chosen = profile === "" ? [] : ["--profile", profile];
    const { services } = JSON.parse(await compose(...chosen, "config", "--format", "json")) as {
      readonly services: Record<string, { readonly ports?: readonly { readonly host_ip?: string }[] }>;
    };
    expect(Object.keys(services)).toEqual(expect.arrayContaining(["gateway-0", "zookeeper", "grafana"]));
    for (const { ports: published = [] } of Object.values(services)) {
      for (const { host_ip: ip } of published) expect(ip).toBe("127.0.0.1");
    }
  });

  test("everything is healthy", async () => {
    const lines = (await compose("ps", "--format", "json")).split("\n");
    const states = lines.map((line) => JSON.parse(line) as { readonly Service: string; readonly Health: string });
    expect(states.map(({ Service, Health }) => [Service, Health]).toSorted()).toEqual(
      started.map((service) => [service, "healthy"]).toSorted(),
    );
  });

  test("the bank's orders are committed or given up as a whole, and Seata and PostgreSQL have them", async () => {
    const query = async (expr: string): Promise<number> => {
      const url = `http://${await addressOf("prometheus", 9090)}/api/v1/query?query=${encodeURIComponent(expr)}`;
      const { data } = await json<{ data: { result: { value: [number, string] }[] } }>(url);
      return Number(data.result[0]?.value[1] ?? 0);
    };
    const atLeast = (least: number) => (found: number) => found >= least;
    const ended = (outcome: string): string =>
      `sum(flyball_transaction_duration_seconds_count{run="compose",outcome="${outcome}"})`;
    expect(await eventually(() => query(ended("Committed")), atLeast(3))).toBeGreaterThan(2);
    expect(await eventually(() => query(ended("Rollbacked")), atLeast(1))).toBeGreaterThan(0);
    const ofSeata = 'sum(seata_transaction{run="compose",meter="counter",status="committed"})';
    expect(await eventually(() => query(ofSeata), atLeast(3))).toBeGreaterThan(2);

    await compose("stop", "--timeout", "10", "buyer-0");
    const sql = `SELECT (SELECT sum(frozen) FROM account_holdings) || ' ' || (SELECT sum(frozen) FROM stock_holdings) || ' ' ||
      (SELECT sum(used) FROM account_holdings) - 10 * (SELECT sum(used) FROM stock_holdings)`;
    const psql = ["psql", "-h", "127.0.0.1", "-U", "flyball", "-d", "flyball", "-tAc", sql];
    const left = (): Promise<string> => compose("exec", "-T", "-e", "PGPASSWORD=flyball", "postgres", ...psql);
    expect(await eventually(left, (answer) => answer === "0 0 0")).toBe("0 0 0");
    await compose("start", "buyer-0");
  }, 90_000);

  test("the gateway answers, and both instances of orders work", async () => {
    const url = `http://${await addressOf("gateway-0", 8080)}/do`;
    const seen = new Set<string>();
    for (let call = 0; call < 50 && seen.size < 2; call++) {
      seen.add((await json<{ readonly instance: string }>(url)).instance);
    }
    expect([...seen].toSorted()).toEqual(["orders/0", "orders/1"]);
  });

  test("Prometheus scrapes every node, and ZooKeeper", async () => {
    const prometheus = prometheusAt(`http://${await addressOf("prometheus", 9090)}`);
    const sum = async (): Promise<number | undefined> => (await prometheus.query('sum(up{job="flyball"})'))[0]?.value;
    expect(await eventually(sum, (value) => value === 10)).toBe(10);
  }, 60_000);

  test("every query of every panel has data", async () => {
    const prometheus = prometheusAt(`http://${await addressOf("prometheus", 9090)}`);
    const url = `http://${await addressOf("gateway-0", 8080)}/do`;
    const panels = Object.values(dashboards).flatMap(expressionsOf);
    const empty = async (): Promise<readonly string[]> => {
      await fetch(url);
      const found = await Promise.all(
        panels.map(async ({ dashboard, panel, expr }) => {
          const samples = await prometheus.query(expr.replaceAll("$run", "compose"));
          const has = samples.some(({ value }) => !Number.isNaN(value));
          // Nobody injects faults here: that they can be asked for is all.
          return has || panel === "annotation Faults" ? [] : [`${dashboard}, ${panel}: ${expr}`];
        }),
      );
      return found.flat();
    };
    expect(panels.length).toBeGreaterThan(40);
    expect(await eventually(empty, (left) => left.length === 0)).toEqual([]);
  }, 90_000);

  test("Jaeger has traces through the whole fleet", async () => {
    const base = `http://${await addressOf("jaeger", 16686)}/api`;
    type Trace = { readonly processes: Readonly<Record<string, { readonly serviceName: string }>> };
    const services = async (): Promise<readonly string[]> => {
      const { data } = await json<{ readonly data: readonly Trace[] | null }>(
        `${base}/traces?service=storefront&limit=20`,
      );
      const through = (data ?? []).map(
        ({ processes }) => new Set(Object.values(processes).map((one) => one.serviceName)),
      );
      return [...(through.toSorted((a, b) => b.size - a.size)[0] ?? [])].toSorted();
    };
    expect(await eventually(services, (names) => names.length >= 3)).toEqual(["orders", "payments", "storefront"]);
  }, 60_000);

  test("k6 makes its load, and holds its thresholds or says so", async () => {
    // On a busy machine it may find that its thresholds don't hold: what it printed is the same.
    const ran = await compose("--profile", "k6", "run", "--rm", "--no-deps", "k6").catch(
      (error: unknown) => ((error as Error).cause as { readonly stdout: string }).stdout,
    );
    expect(ran).toMatch(/is answered by an order service/);
    expect(ran).toMatch(/http_reqs\W+6\d/);
  }, 60_000);
});
