import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

import { directStub } from "../../../runtime/call/direct.ts";
import { metadata } from "../../../runtime/call/metadata.ts";
import { epochOf, systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import { Worker } from "../../../services/proto/worker_pb.ts";
import { openJaeger } from "../../history/jaeger.ts";
import { spansToReadBack } from "../../judge/traces.ts";
import { runScenario } from "../../run.ts";
import { at, constant, consumer, provider, scenario, traces } from "../../scenario/builders.ts";
import { jaeger, jaegerPorts } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";
import { dockerWorld } from "./world.ts";

const clock = systemClock();

describeReal("traces in a real Jaeger", () => {
  const world = dockerWorld();
  const children: ChildProcess[] = [];
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await world.close!();
  }, 60_000);

  test(
    "what a fleet of containers sent is read back whole, a node's death included",
    { timeout: 120_000 },
    async () => {
      const value = scenario({
        name: "traced",
        title: { en: "Traced", zh: "追踪" },
        explanation: { en: "For a test.", zh: "用于测试。" },
        tracing: { sample: 1 },
        fleet: {
          storefront: consumer({ instances: 1, calls: "orders", timeout: "2s" }),
          orders: provider({ instances: 2, calls: "payments", timeout: "1s", errorRate: 0.1 }),
          payments: provider({ instances: 2 }),
        },
        load: constant("25/s").on("storefront").for("8s"),
        timeline: [at("4s").kill("payments/1", { for: "1s" })],
        expect: [traces("orders").detects("5%"), traces("payments").detects("10%")],
      });
      const { result, history } = await runScenario(value, { world, seed: 1 });
      expect(result.checks.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^each of \d+ calls of orders is one connected trace in the trace store/),
        expect.stringMatching(/^each of \d+ calls of payments is one connected trace in the trace store/),
      ]);
      const idOf = ({ traceId, spanId }: { readonly traceId: string; readonly spanId: string }): string =>
        `${traceId} ${spanId}`;
      const arrived = new Map(
        history.spans.flatMap((span) => (span.source === "jaeger" ? [[idOf(span), span] as const] : [])),
      );
      const reported = spansToReadBack(history);
      expect(reported.length).toBeGreaterThan(1_000);
      // To the microsecond on one machine: containers and harness share its clocks.
      for (const span of reported) {
        const { events, atUs, beginUs, ...rest } = arrived.get(idOf(span)) ?? {};
        const { events: own, atUs: ownAtUs, beginUs: ownBeginUs, ...ownRest } = span;
        expect(rest).toEqual({ ...ownRest, source: "jaeger" });
        expect(events?.map(({ attributes }) => attributes)).toEqual(own?.map(({ attributes }) => attributes));
        expect(Math.abs(atUs! - ownAtUs)).toBeLessThan(1_000);
        expect(Math.abs(beginUs! - ownBeginUs)).toBeLessThan(1_000);
      }
    },
  );

  test(
    "processes started by hand send theirs, and carry on a foreign caller's trace",
    { timeout: 120_000 },
    async () => {
      const store = await startTestServer(jaeger);
      const directory = await mkdtemp(join(tmpdir(), "traced-"));
      const main = join(import.meta.dirname, "../../../services/main.ts");
      const byHand = (...args: readonly string[]) => {
        const child = spawn(process.execPath, [main, ...args], {
          cwd: directory,
          stdio: ["ignore", "pipe", "inherit"],
        });
        children.push(child);
        let printed = "";
        child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
        return {
          prints: (pattern: RegExp) => expect.poll(() => pattern.exec(printed)?.[1], { timeout: 30_000 }).toBeDefined(),
          found: (pattern: RegExp) => pattern.exec(printed)![1]!,
          end: async () => {
            child.kill("SIGTERM");
            await once(child, "exit");
          },
        };
      };
      const startUs = clock.nowUs();
      const registry = byHand("registry");
      await registry.prints(/listens at (\S+)/);
      const infrastructure = [
        ...["--registry", registry.found(/listens at (\S+)/)],
        ...["--otlp", `http://${store.addressOf(jaegerPorts.otlp)}`],
      ];
      const payments = byHand("provider", "--service", "payments", "--node", "payments/0", ...infrastructure);
      const calls = JSON.stringify({ calls: { service: "payments" } });
      const orders = byHand("provider", "--node", "orders/0", "--config", calls, ...infrastructure);
      await orders.prints(/(is ready)/);
      const shop = byHand("consumer", "--node", "shop/0", "--rate", "20/s", ...infrastructure);
      await shop.prints(/\d+ calls: (OK)/);

      const transport = tripleTransport({ clock });
      const stub = directStub(Worker, {
        clock,
        transport,
        calls: new CallLog({ clock, telemetry: silent }),
        service: "orders",
        address: orders.found(/listens at (\S+)/),
      });
      const foreign = "4bf92f3577b34da6a3ce929d0e0e4736";
      const carried = { tracestate: "congo=t61rcWkgMzE,rojo=1", baggage: "tenant=b%C3%A4r;ttl=3" };
      await stub.do(
        { key: "" },
        { metadata: metadata({ traceparent: `00-${foreign}-00f067aa0ba902b7-01`, ...carried }) },
      );
      await transport.close();
      for (const process of [shop, orders, payments, registry]) await process.end();
      await rm(directory, { recursive: true, force: true });

      const reader = openJaeger({
        url: `http://${store.addressOf(jaegerPorts.query)}`,
        clock,
        epochUs: epochOf(clock),
      });
      const trace = await reader.trace(foreign);
      const shapeOf = (found: typeof trace) => found.map(({ node, span }) => `${node} ${span.kind}`).sort();
      expect(shapeOf(trace)).toEqual(["orders/0 client", "orders/0 internal", "orders/0 server", "payments/0 server"]);
      const top = trace.find(({ span }) => span.parentId === "00f067aa0ba902b7");
      expect(top).toMatchObject({ node: "orders/0", span: { kind: "server" } });
      for (const { span } of trace) {
        expect(span.tracestate).toBe(carried.tracestate);
        expect(span.attributes["baggage.tenant"]).toBe("bär");
      }

      const all = await reader.search({ service: "payments", fromUs: startUs, toUs: clock.nowUs() });
      const byTrace = Map.groupBy(all, ({ span }) => span.traceId);
      byTrace.delete(foreign);
      expect(byTrace.size).toBeGreaterThanOrEqual(20);
      for (const found of byTrace.values()) {
        expect(shapeOf(found)).toEqual([
          "orders/0 client",
          "orders/0 internal",
          "orders/0 server",
          "payments/0 server",
          "shop/0 client",
          "shop/0 internal",
        ]);
      }
    },
  );
});
