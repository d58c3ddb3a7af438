import { embeddedOnly } from "../runtime/ports/infrastructure.ts";
import { expect, test } from "vitest";

import { builtInPolicies } from "../runtime/call/client.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { SpanExporter } from "../runtime/ports/span-exporter.ts";
import type { Transport } from "../runtime/ports/transport.ts";
import { createRandom } from "../runtime/random.ts";
import { Call } from "../runtime/call/call.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import type { Span } from "../runtime/telemetry/span.ts";
import { CallLog } from "../runtime/telemetry/call-log.ts";
import { ManualClock, settled } from "../runtime/testing/clock.ts";
import { controlVersion, type FromNode, type ToNode } from "./control.ts";
import { createNode } from "./node.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "./service.ts";

/** A node whose program is the test's; it has no network, because the loop needs none. */
function scene(service: Partial<RunningService> = {}, lagTickMs = 0, spanExporter?: SpanExporter) {
  const clock = new ManualClock();
  const heard: FromNode[] = [];
  const contexts: NodeContext[] = [];
  const program: ServiceProgram = {
    name: "probe",
    parse: (config) => {
      if (config === "wrong") throw new ConfigError("weight is wrong", "try 100");
      return config;
    },
    start: async (context) => {
      contexts.push(context);
      const nothing = (): Promise<void> => Promise.resolve();
      return { address: "here:1", go: nothing, drain: nothing, stop: nothing, ...service };
    },
  };
  const node = createNode(
    program,
    (start, telemetry) => ({
      ...(spanExporter && { spanExporter }),
      node: start.node,
      listen: start.listen,
      clock,
      random: createRandom(start.seed),
      transport: {} as Transport,
      disk: {} as Disk,
      telemetry,
      calls: new CallLog({ clock, telemetry }),
      policies: builtInPolicies,
      infrastructure: embeddedOnly,
      work: (us) => clock.sleep(us),
    }),
    (message) => heard.push(message),
    { lagTickMs },
  );
  const start: ToNode = {
    type: "start",
    version: controlVersion,
    node: "probe/0",
    program: "probe",
    config: {},
    seed: 1,
    listen: "here:0",
    dial: {},
  };
  return { clock, heard, node, start, contexts, types: () => heard.map(({ type }) => type) };
}

test("answers each message, and sends what happened before the answer first", async () => {
  const { node, start, heard, types, clock } = scene();
  node.handle(start);
  node.handle({ type: "go" });
  await settled();
  expect(types()).toEqual(["records", "listening", "records", "ready"]);
  expect(heard[1]).toEqual({ type: "listening", address: "here:1" });
  node.handle({ type: "collect" });
  node.handle({ type: "drain" });
  await settled();
  node.handle({ type: "stop" });
  await settled();
  expect(types().slice(4)).toEqual(["collected", "drained", "records", "stopped"]);
  expect(clock.pending).toBe(0);
});

test("sends events within 100 ms, or a thousand at once", async () => {
  const { node, start, contexts, heard, clock } = scene();
  node.handle(start);
  await settled();
  heard.length = 0;
  const { telemetry } = contexts[0]!;
  telemetry.emit({ type: "lag", atUs: 0, maxUs: 1 });
  await clock.advance(99_999);
  expect(heard).toHaveLength(0);
  await clock.advance(1);
  expect(heard).toHaveLength(1);
  for (let index = 0; index < 2500; index++) telemetry.emit({ type: "lag", atUs: index, maxUs: 1 });
  expect(heard).toHaveLength(3);
  await clock.advance(100_000);
  const sent = heard.flatMap((message) => (message.type === "records" ? message.events : []));
  expect(sent.slice(1).map(({ atUs }) => atUs)).toEqual(Array.from({ length: 2500 }, (_, index) => index));
});

test("a slow node's work takes longer", async () => {
  const { node, start, contexts, clock } = scene();
  node.handle(start);
  await settled();
  node.handle({ type: "slow", factor: 3 });
  let isDone = false;
  void contexts[0]!.work(100).then(() => (isDone = true));
  await clock.advance(299);
  expect(isDone).toBe(false);
  await clock.advance(1);
  expect(isDone).toBe(true);
});

test.each<[string, (start: ToNode) => readonly ToNode[], object]>([
  [
    "a wrong configuration",
    (start) => [{ ...start, config: "wrong" } as ToNode],
    { message: "weight is wrong", hint: "try 100" },
  ],
  [
    "another version of the protocol",
    (start) => [{ ...start, version: 2 } as unknown as ToNode],
    { message: "control protocol 2" },
  ],
  ["go before start", () => [{ type: "go" }], { hint: "send start first" }],
  ["a second start", (start) => [start, start], { message: "probe/0 has been started already" }],
])("%s is sent as failed, and ends the node", async (_, messages, failure) => {
  const { node, start, heard, clock } = scene();
  for (const message of messages(start)) node.handle(message);
  await settled();
  expect(heard.at(-1)).toMatchObject({ type: "failed", ...failure });
  const { length } = heard;
  node.handle({ type: "go" });
  node.handle({ type: "collect" });
  await settled();
  expect(heard).toHaveLength(length);
  expect(clock.pending).toBe(0);
});

test("a service that fails on its way fails the node, and is stopped", async () => {
  let isStopped = false;
  const { node, start, heard } = scene({
    go: () => Promise.reject(new Error("no instance")),
    stop: async () => void (isStopped = true),
  });
  node.handle(start);
  node.handle({ type: "go" });
  await settled();
  expect(heard.at(-1)).toEqual({ type: "failed", message: "no instance" });
  expect(isStopped).toBe(true);
});

test("says once a second how late its timers were, and nothing when they weren't", async () => {
  const { node, start, heard, clock } = scene({}, 50);
  const lags = (): readonly RuntimeEvent[] =>
    heard.flatMap((message) => (message.type === "records" ? message.events : [])).filter(({ type }) => type === "lag");
  node.handle(start);
  await clock.advance(3_000_000);
  expect(lags()).toEqual([]);
  // From here on every timer finds that time has gone on without it.
  const { nowUs } = clock;
  let lateUs = 0;
  clock.nowUs = () => nowUs.call(clock) + lateUs;
  for (let tick = 0; tick < 60; tick++) {
    lateUs = tick === 30 ? 20_000 : lateUs;
    await clock.advance(50_000);
  }
  await clock.advance(200_000);
  expect(lags()).toMatchObject([{ maxUs: 20_000 }]);
});

test("traces only when it is told to", async () => {
  const { node, start, contexts } = scene();
  node.handle(start);
  await settled();
  expect(contexts[0]!.tracer).toBeUndefined();
});

test("told to trace, it records its spans, sends them to the store as well, and puts what happens on those that are open", async () => {
  const exported: Span[] = [];
  const asked: string[] = [];
  const { node, start, heard, contexts, clock } = scene({}, 0, {
    counts: { sent: 1, dropped: 2, waiting: 0 },
    export: (span) => exported.push(span),
    flush: async () => void asked.push("flush"),
    close: async () => void asked.push("close"),
  });
  node.handle({ ...start, tracing: { sample: 1 } });
  await settled();
  const { tracer, telemetry } = contexts[0]!;
  const span = tracer!.call(new Call({ clock, service: "orders", method: "/W/Do", id: 1 }))!;
  telemetry.emit({ type: "rule", atUs: 0, key: "orders.tag-router", version: 3, outcome: "applied" });
  node.handle({ type: "annotate", note: { atUs: 0, name: "flyball.step", attributes: { what: "kill" } } });
  span.end();
  node.handle({ type: "collect" });
  await settled();
  node.handle({ type: "stop" });
  await settled();
  expect(exported).toMatchObject([
    {
      events: [
        {
          name: "flyball.rule",
          attributes: {
            "flyball.rule.key": "orders.tag-router",
            "flyball.rule.version": 3,
            "flyball.rule.outcome": "applied",
          },
        },
        { name: "flyball.step", attributes: { what: "kill" } },
      ],
    },
  ]);
  const events = heard.flatMap((message) => (message.type === "records" ? message.events : []));
  expect(events.filter(({ type }) => type === "span")).toEqual(exported);
  expect(events.filter(({ type }) => type === "rule")).toHaveLength(1);
  expect(events.filter(({ type }) => type === "span.export")).toMatchObject([{ sent: 1, dropped: 2 }, { sent: 1 }]);
  expect(asked).toEqual(["flush", "close"]);
});
