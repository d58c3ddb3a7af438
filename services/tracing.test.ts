import { afterEach, describe, expect, test } from "vitest";

import { builtInPolicies, createClient, type PolicyTables } from "../runtime/call/client.ts";
import { metadata } from "../runtime/call/metadata.ts";
import { createServer } from "../runtime/call/server.ts";
import type { Handlers } from "../runtime/call/service.ts";
import { RpcError } from "../runtime/call/status.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { tripleTransport } from "../runtime/node/triple.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import { createRandom } from "../runtime/random.ts";
import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import type { Span } from "../runtime/telemetry/span.ts";
import { Tracer } from "../runtime/telemetry/tracer.ts";
import { Worker } from "./proto/worker_pb.ts";

/** Clients and servers as services put them together, on real sockets. */

const clock = systemClock();
const owned: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of owned.splice(0).reverse()) await close();
});

/** Every instance of every service is where it is said to be. */
const registryOf = (places: Readonly<Record<string, readonly string[]>>): Registry => ({
  state: "connected",
  register: () => Promise.reject(new Error("nobody registers here")),
  lookup: () => Promise.reject(new Error("nobody looks here")),
  watch: (service, listener) => {
    const instances = (places[service] ?? []).map((address, index) => {
      return { id: `${service}/${index}`, service, address, weight: 100, metadata: {} };
    });
    listener({ service, version: 1, instances, removed: [] });
    return { close: () => undefined };
  },
  close: async () => undefined,
});

function node(name: string, spans: Span[]) {
  const transport = tripleTransport({ clock });
  owned.push(() => transport.close());
  const random = createRandom(1).fork(name);
  const tracer = new Tracer({ clock, random, node: name, sample: 1, onSpan: (span) => spans.push(span) });
  return {
    serve: async (handlers: Handlers<typeof Worker>): Promise<string> =>
      (await createServer({ transport, tracer }).add(Worker, handlers).listen("127.0.0.1:0")).address,
    stub: async (
      places: Readonly<Record<string, readonly string[]>>,
      more: { readonly policies?: PolicyTables; readonly emit?: (event: RuntimeEvent) => void } = {},
    ) => {
      const { policies, emit = () => undefined } = more;
      const client = createClient({
        ...{ clock, random, transport, tracer, policies, telemetry: { emit } },
        registry: registryOf(places),
        application: name,
      });
      owned.push(async () => client.close());
      const [service] = Object.keys(places) as [string];
      const stub = client.service(service, Worker, { timeoutMs: 2_000, balancer: "smooth-weighted-round-robin" });
      await client.ready(service, 1_000);
      return stub;
    },
  };
}

const quiet: Handlers<typeof Worker> = {
  do: async ({ payload }) => ({ payload }),
  async *stream({ count }) {
    for (let index = 0; index < count; index++) yield { payload: String(index) };
  },
};

/** Kind and status of each, callers' first. */
const outcomes = (spans: readonly Span[]): unknown[] =>
  spans.map(({ kind, attributes, status }) => `${kind} ${String(attributes["rpc.status_code"])} ${status}`).sort();

const ended = (spans: readonly Span[], count: number) => expect.poll(() => spans.length).toBe(count);

describe("a stream's spans", () => {
  test("last as long as it does", async () => {
    const spans: Span[] = [];
    const address = await node("orders/0", spans).serve(quiet);
    const stub = await node("shop/0", spans).stub({ orders: [address] });
    for await (const _ of await stub.stream({ count: 3 })) await clock.sleep(5_000);
    await ended(spans, 3);
    expect(outcomes(spans)).toEqual(["client OK unset", "internal OK unset", "server OK unset"]);
    const call = spans.find(({ kind }) => kind === "internal")!;
    expect(call.atUs - call.beginUs).toBeGreaterThanOrEqual(15_000);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  });

  test("end when its reader leaves", async () => {
    const spans: Span[] = [];
    const address = await node("orders/0", spans).serve({
      ...quiet,
      async *stream(_, call) {
        for (let index = 0; !call.isCancelled; index++) {
          yield { payload: String(index) };
          await clock.sleep(1_000);
        }
      },
    });
    const stub = await node("shop/0", spans).stub({ orders: [address] });
    for await (const _ of await stub.stream({ count: 1 })) break;
    await ended(spans, 3);
    expect(outcomes(spans)).toEqual(["client CANCELLED error", "internal CANCELLED error", "server CANCELLED unset"]);
  });
});

test("a call that nobody answers ends on both sides with its deadline", async () => {
  const spans: Span[] = [];
  const address = await node("orders/0", spans).serve({ ...quiet, do: () => new Promise(() => undefined) });
  const stub = await node("shop/0", spans).stub({ orders: [address] });
  await expect(stub.do({}, { timeoutMs: 50 })).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await ended(spans, 3);
  // Who notices first tells the other: a server that is told hears of a cancellation.
  expect(outcomes(spans).slice(0, 2)).toEqual(["client DEADLINE_EXCEEDED error", "internal DEADLINE_EXCEEDED error"]);
  expect(outcomes(spans)[2]).toMatch(/^server (DEADLINE_EXCEEDED error|CANCELLED unset)$/);
});

test("a retried call has a span for each attempt, and says in the call's record where to find it", async () => {
  const spans: Span[] = [];
  const failing = await node("orders/0", spans).serve({
    ...quiet,
    do: () => Promise.reject(new RpcError("no", { code: "UNAVAILABLE" })),
  });
  const working = await node("orders/1", spans).serve(quiet);
  const events: RuntimeEvent[] = [];
  const shop = node("shop/0", spans);
  const stub = await shop.stub({ orders: [failing, working] }, { emit: (event) => events.push(event) });
  await stub.do({});
  await ended(spans, 5);
  const call = spans.find(({ kind }) => kind === "internal")!;
  const attempts = spans.filter(({ kind }) => kind === "client");
  expect(attempts.map(({ parentId }) => parentId)).toEqual([call.spanId, call.spanId]);
  expect(attempts.map(({ attributes }) => attributes["flyball.instance"])).toEqual(["orders/0", "orders/1"]);
  const { traceId, spanId } = call;
  expect(events.find(({ type }) => type === "call.begin")).toMatchObject({ traceId, spanId });
});

test("a call that a filter ends has its span, and no attempt", async () => {
  const spans: Span[] = [];
  const shop = node("shop/0", spans);
  const refuse = () => Promise.reject(new RpcError("no", { code: "RESOURCE_EXHAUSTED" }));
  const stub = await shop.stub(
    { orders: ["127.0.0.1:1"] },
    { policies: { ...builtInPolicies, clientFilters: [refuse] } },
  );
  await expect(stub.do({})).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  expect(outcomes(spans)).toEqual(["internal RESOURCE_EXHAUSTED error"]);
  expect(spans[0]!.attributes["flyball.attempts"]).toBe(0);
});

test("a foreign caller's trace, state, baggage and everything else arrive where the handler calls in turn", async () => {
  const spans: Span[] = [];
  const heard: ReadonlyMap<string, string>[] = [];
  const last = await node("payments/0", spans).serve({
    ...quiet,
    do: async (_, { metadata: carried }) => {
      heard.push(carried);
      return {};
    },
  });
  const orders = node("orders/0", spans);
  const payments = await orders.stub({ payments: [last] });
  const address = await orders.serve({
    ...quiet,
    do: async (_, call) => payments.do({}, { parent: call, metadata: call.metadata }),
  });
  const transport = tripleTransport({ clock });
  owned.push(() => transport.close());
  const client = createClient({
    ...{ clock, transport, random: createRandom(2), application: "foreign" },
    registry: registryOf({ orders: [address] }),
  });
  owned.push(async () => client.close());
  const stub = client.service("orders", Worker);
  await client.ready("orders", 1_000);
  const carried = {
    tracestate: "congo=t61rcWkgMzE, rojo=1",
    baggage: "tenant=b%C3%A4r;ttl=3",
    "dubbo.tag": "gray",
    tx_xid: "127.0.0.1:8091:1",
  };
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await stub.do({}, { metadata: metadata({ traceparent, ...carried }) });

  await ended(spans, 4);
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set(["4bf92f3577b34da6a3ce929d0e0e4736"]));
  expect(spans.filter(({ parentId }) => parentId === "00f067aa0ba902b7").map(({ kind }) => kind)).toEqual(["server"]);
  const attempt = spans.find(({ kind }) => kind === "client")!;
  expect(Object.fromEntries(heard[0]!)).toMatchObject({
    ...carried,
    traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-${attempt.spanId}-01`,
  });
  for (const { attributes, tracestate } of spans) {
    expect(attributes).toMatchObject({ "dubbo.tag": "gray", "baggage.tenant": "bär" });
    expect(tracestate).toBe(carried.tracestate);
  }
});
