import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { metadata, type Metadata } from "../call/metadata.ts";
import { RpcError, rpcCodes } from "../call/status.ts";
import { endpoint } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { isError, type Span } from "./span.ts";
import { parseTraceparent } from "./trace-context.ts";
import { carrying, contextIn, isChosen, Tracer } from "./tracer.ts";

function scene({ sample = 1, node = "shop/0", seed = 1 } = {}) {
  const clock = new ManualClock();
  const spans: Span[] = [];
  const tracer = new Tracer({
    clock,
    random: createRandom(seed).fork(node),
    node,
    sample,
    onSpan: (span) => spans.push(span),
  });
  const call = (options: { readonly metadata?: Metadata; readonly parent?: Call } = {}): Call =>
    new Call({ clock, service: "orders", method: "/flyball.worker.v1.Worker/Do", id: 7, ...options });
  return { clock, spans, tracer, call };
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const unavailable = new RpcError("gone", { code: "UNAVAILABLE" });

describe("a logical call", () => {
  test("is the root of a trace; its attempts lie under it, with what they were", async () => {
    const { clock, spans, tracer, call } = scene();
    const logical = call();
    const span = tracer.call(logical)!;
    const first = span.attempt(logical, endpoint({ id: "orders/0", address: "10.0.0.1:20880" }), clock.nowUs())!;
    await clock.advance(10);
    first.end(unavailable);
    const second = span.attempt(logical, endpoint({ id: "orders/1", address: "[::1]:20881" }), clock.nowUs())!;
    await clock.advance(10);
    second.end();
    span.end();

    const { traceId, spanId } = span.context;
    expect(spans).toMatchObject([
      {
        beginUs: 0,
        atUs: 10,
        traceId,
        parentId: spanId,
        name: "flyball.worker.v1.Worker/Do",
        kind: "client",
        status: "error",
        message: "gone",
        attributes: {
          "rpc.system.name": "grpc",
          "rpc.method": "flyball.worker.v1.Worker/Do",
          "rpc.status_code": "UNAVAILABLE",
          "error.type": "UNAVAILABLE",
          "server.address": "10.0.0.1",
          "server.port": 20880,
          "flyball.instance": "orders/0",
          "flyball.attempt": 1,
        },
      },
      {
        beginUs: 10,
        atUs: 20,
        parentId: spanId,
        kind: "client",
        status: "unset",
        attributes: { "server.address": "[::1]", "server.port": 20881, "flyball.attempt": 2, "rpc.status_code": "OK" },
      },
      {
        beginUs: 0,
        atUs: 20,
        traceId,
        spanId,
        name: "call orders flyball.worker.v1.Worker/Do",
        kind: "internal",
        status: "unset",
        attributes: { "server.address": "orders", "flyball.call": 7, "flyball.attempts": 2 },
      },
    ]);
    expect(spans[2]).not.toHaveProperty("parentId");
    expect(spans[1]!.attributes).not.toHaveProperty("error.type");
    expect(new Set(spans.map((one) => one.spanId)).size).toBe(3);
  });

  test("takes attempts that are still under way with it, and none that come later", () => {
    const { spans, tracer, call } = scene();
    const logical = call();
    const span = tracer.call(logical)!;
    const late = span.attempt(logical, endpoint(), 0)!;
    span.end(unavailable);
    late.end();
    expect(span.attempt(logical, endpoint(), 0)).toBeUndefined();
    expect(spans.map(({ kind, status }) => [kind, status])).toEqual([
      ["client", "unset"],
      ["internal", "error"],
    ]);
    expect(spans[0]!.attributes).toMatchObject({ "flyball.unanswered": true });
    expect(spans[0]!.attributes).not.toHaveProperty("rpc.status_code");
  });

  test("lies under the served call on whose behalf it is made, through whatever bundles calls between them", () => {
    const { clock, tracer, call } = scene();
    const served = call({ metadata: metadata({ traceparent: parent }) });
    const server = tracer.serve(served)!;
    const bundle = new Call({ clock, service: "", method: "", parent: served });
    const below = call({ parent: bundle, metadata: served.metadata });
    const span = tracer.call(below)!;
    span.end();
    server.end();
    expect(below.trace?.traceId).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
    expect(span.context.spanId).not.toBe(server.context.spanId);
  });

  test("without a call above it lies under the traceparent that it was given", () => {
    const { spans, tracer, call } = scene();
    tracer.call(call({ metadata: metadata({ traceparent: parent }) }))!.end();
    expect(spans[0]!.parentId).toBe("00f067aa0ba902b7");
  });

  test("one seed gives one set of ids, another node others", () => {
    const idsOf = (options: Parameters<typeof scene>[0]): unknown =>
      scene(options).tracer.call(scene().call())?.context;
    expect(idsOf({})).toEqual(idsOf({}));
    expect(idsOf({ node: "shop/1" })).not.toEqual(idsOf({}));
  });
});

describe("what travels", () => {
  test("nothing that a call carries is lost or changed but traceparent and tracestate", () => {
    const keys = fc.stringMatching(/^[a-z][a-z0-9.-]{0,10}$/);
    const entries = fc.dictionary(fc.oneof(keys, fc.constantFrom("baggage", "dubbo.tag", "tx_xid")), fc.string());
    fc.assert(
      fc.property(entries, fc.boolean(), (carried, isSampled) => {
        const context = {
          traceId: "1".repeat(32),
          spanId: "2".repeat(16),
          isSampled,
          tracestate: "a=1",
          baggage: "b=2",
        };
        const own = metadata({ ...carried, traceparent: parent, tracestate: "old=1" });
        const sent = carrying(own, context);
        for (const [key, value] of own) if (!/^trace(parent|state)$/.test(key)) expect(sent.get(key)).toBe(value);
        expect(contextIn(sent)).toEqual({ ...context, baggage: carried["baggage"] ?? "b=2" });
        expect(own.get("traceparent")).toBe(parent);
      }),
    );
  });

  test("tracestate and baggage come out as they came in, through a server to whom it calls", () => {
    const { tracer, call } = scene();
    const carried = { tracestate: "congo=t61rcWkgMzE,  rojo=1", baggage: "tenant=b%C3%A4r;ttl=3, other = x" };
    const served = call({ metadata: metadata({ traceparent: parent, ...carried }) });
    tracer.serve(served);
    // A handler that hands on its call and no metadata.
    const below = call({ parent: served });
    const span = tracer.call(below)!;
    const sent = carrying(below.metadata, span.attempt(below, endpoint(), 0)!.context);
    expect(Object.fromEntries(sent)).toMatchObject(carried);
    expect(parseTraceparent(sent.get("traceparent")!)?.traceId).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
  });

  test("a state that breaks the rules is discarded, and one without a trace", () => {
    expect(contextIn(metadata({ traceparent: parent, tracestate: "A=1" }))?.tracestate).toBeUndefined();
    const { tracer, call } = scene();
    const stray = call({ metadata: metadata({ tracestate: "a=1", baggage: "tenant=x" }) });
    const span = tracer.call(stray)!;
    const sent = carrying(stray.metadata, span.context);
    expect([sent.has("tracestate"), sent.get("baggage")]).toEqual([false, "tenant=x"]);
  });

  test("tag and baggage are seen on every span below", () => {
    const { spans, tracer, call } = scene();
    const carried = metadata({ "dubbo.tag": "gray", baggage: "tenant=acme" });
    const logical = call({ metadata: carried });
    const span = tracer.call(logical)!;
    span.attempt(logical, endpoint(), 0)!.end();
    tracer.serve(call({ metadata: carrying(carried, span.context) }))!.end();
    span.end();
    expect(spans).toHaveLength(3);
    for (const { attributes } of spans)
      expect(attributes).toMatchObject({ "dubbo.tag": "gray", "baggage.tenant": "acme" });
  });
});

describe("sampling", () => {
  test("is decided at the root: what isn't recorded stays so all the way down, and a parent's decision stands", () => {
    const { spans, tracer, call } = scene({ sample: 0 });
    const logical = call();
    expect(tracer.call(logical)).toBeUndefined();
    const sent = carrying(logical.metadata, logical.trace!);
    expect(sent.get("traceparent")).toMatch(/-00$/);
    const always = scene({ sample: 1 });
    const served = call({ metadata: sent });
    expect(always.tracer.serve(served)).toBeUndefined();
    expect(always.tracer.call(call({ parent: served }))).toBeUndefined();
    expect(tracer.call(call({ metadata: metadata({ traceparent: parent }) }))).toBeDefined();
    expect(spans).toEqual([]);
  });

  test("takes the share that was asked for, and of a larger share all that a smaller one takes", () => {
    const { tracer, call } = scene({ sample: 0.25 });
    const ids = Array.from({ length: 4_000 }, () => {
      const logical = call();
      const isRecorded = tracer.call(logical) !== undefined;
      expect(isRecorded).toBe(isChosen(logical.trace!.traceId, 0.25));
      return logical.trace!.traceId;
    });
    const share = ids.filter((id) => isChosen(id, 0.25)).length / ids.length;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.3);
    for (const id of ids) if (isChosen(id, 0.25)) expect(isChosen(id, 0.5)).toBe(true);
    expect(ids.every((id) => isChosen(id, 1))).toBe(true);
  });
});

test("the caller's errors are all but OK, the server's are its own faults", () => {
  expect(rpcCodes.filter((code) => !isError("client", code))).toEqual(["OK"]);
  expect(rpcCodes.filter((code) => !isError("internal", code))).toEqual(["OK"]);
  expect(rpcCodes.filter((code) => isError("server", code))).toEqual([
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
  ]);
});

describe("what happens to the fleet", () => {
  const note = (atUs: number, more = {}) => ({ atUs, name: "flyball.step", attributes: { atUs }, ...more });

  test("is seen on the spans that are open at its moment, in the order of time", async () => {
    const { clock, spans, tracer, call } = scene();
    tracer.note(note(0));
    await clock.advance(10);
    const span = tracer.call(call())!;
    await clock.advance(10);
    tracer.note(note(15));
    tracer.note(note(12));
    span.end();
    tracer.note(note(20));
    tracer.call(call())!.end();
    expect(spans.map(({ events }) => events?.map(({ atUs }) => atUs))).toEqual([[12, 15], [20]]);
  });

  test("is seen where it concerns the node, the instance or the pair", () => {
    const { spans, tracer, call } = scene();
    const logical = call();
    const span = tracer.call(logical)!;
    for (const id of ["orders/0", "orders/1"]) span.attempt(logical, endpoint({ id }), 0);
    const served = tracer.serve(call())!;
    tracer.note(note(0, { nodes: ["orders/1"], attributes: { what: "instance" } }));
    tracer.note(note(0, { nodes: ["shop/0"], attributes: { what: "own" } }));
    tracer.note(note(0, { nodes: ["payments/0"], attributes: { what: "other" } }));
    tracer.note(note(0, { links: [{ from: "shop/0", to: "orders/0" }], attributes: { what: "link" } }));
    tracer.note(note(0, { links: [{ from: "shop/1", to: "orders/0" }], attributes: { what: "other link" } }));
    tracer.note(note(0, { attributes: { what: "all" } }));
    served.end();
    span.end();
    expect(spans.map(({ kind, events }) => [kind, events?.map(({ attributes }) => attributes["what"])])).toEqual([
      ["server", ["own", "all"]],
      ["client", ["own", "link", "all"]],
      ["client", ["instance", "own", "all"]],
      ["internal", ["instance", "own", "link", "all"]],
    ]);
  });

  test("is remembered for a while only", () => {
    const { spans, tracer, call } = scene();
    const span = tracer.call(call())!;
    for (let index = 0; index < 1_000; index++) tracer.note(note(0));
    span.end();
    expect(spans[0]!.events).toHaveLength(64);
  });
});
