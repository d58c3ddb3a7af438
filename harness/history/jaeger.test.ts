import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test } from "vitest";

import { systemClock } from "../../runtime/node/clock.ts";
import { openJaeger } from "./jaeger.ts";

const clock = systemClock();
const owned: (() => void)[] = [];
afterEach(() => {
  for (const close of owned.splice(0)) close();
});

/** Something that listens like Jaeger's query service, and answers as it is told. */
async function query(answer: (path: string, times: number) => { readonly status?: number; readonly body: unknown }) {
  const asked = new Map<string, number>();
  const server = createServer((request, response: ServerResponse) => {
    const path = request.url ?? "";
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const { status = 200, body } = answer(path, asked.get(path)!);
    response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  owned.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { asked, jaeger: openJaeger({ url, clock, epochUs: 1_000_000 }) };
}

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const notFound = { status: 404, body: { error: { httpCode: 404, message: "No traces found" } } };

const spanOf = (spanId: string, more: object = {}): object => ({
  traceId,
  spanId,
  name: "Do",
  kind: 3,
  startTimeUnixNano: "1000005999",
  endTimeUnixNano: "1000007000",
  ...more,
});

const answerOf = (...spans: readonly object[]) => ({
  body: {
    result: {
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.instance.id", value: { stringValue: "orders/0" } }] },
          scopeSpans: [{ scope: { name: "flyball" }, spans }],
        },
      ],
    },
  },
});

test("a trace comes back as a history has its spans, on the fleet's clock", async () => {
  const { jaeger } = await query(() =>
    answerOf(
      spanOf("00000000000000a1", {
        parentSpanId: "00000000000000b1",
        traceState: "congo=t61",
        status: { code: 2, message: "gone" },
        attributes: [
          { key: "text", value: { stringValue: "x" } },
          { key: "count", value: { intValue: "7" } },
          { key: "share", value: { doubleValue: 0.5 } },
          { key: "flag", value: { boolValue: true } },
          { key: "list", value: { arrayValue: { values: [] } } },
        ],
        events: [{ timeUnixNano: "1000006000", name: "flyball.step", attributes: [] }],
      }),
      spanOf("00000000000000a2", { kind: 2, status: {} }),
    ),
  );
  expect(await jaeger.trace(traceId)).toEqual([
    {
      node: "orders/0",
      span: {
        type: "span",
        beginUs: 5,
        atUs: 7,
        traceId,
        spanId: "00000000000000a1",
        parentId: "00000000000000b1",
        name: "Do",
        kind: "client",
        status: "error",
        message: "gone",
        attributes: { text: "x", count: 7, share: 0.5, flag: true },
        events: [{ atUs: 6, name: "flyball.step", attributes: {} }],
        tracestate: "congo=t61",
        source: "jaeger",
      },
    },
    {
      node: "orders/0",
      span: {
        type: "span",
        beginUs: 5,
        atUs: 7,
        traceId,
        spanId: "00000000000000a2",
        name: "Do",
        kind: "server",
        status: "unset",
        attributes: {},
        source: "jaeger",
      },
    },
  ]);
});

test("what isn't there yet is asked for again, and what is there isn't", async () => {
  const other = "a".repeat(32);
  const { jaeger, asked } = await query((path, times) => {
    if (path.endsWith(other)) return answerOf(spanOf("00000000000000c1", { traceId: other }));
    if (times === 1) return notFound;
    return times === 2
      ? answerOf(spanOf("00000000000000a1"))
      : answerOf(spanOf("00000000000000a1"), spanOf("00000000000000a2"));
  });
  const found = await jaeger.readBack([
    { traceId, spanId: "00000000000000a1" },
    { traceId, spanId: "00000000000000a2" },
    { traceId: other, spanId: "00000000000000c1" },
  ]);
  expect(found.map(({ span }) => span.spanId).sort()).toEqual([
    "00000000000000a1",
    "00000000000000a2",
    "00000000000000c1",
  ]);
  expect([...asked.values()].sort()).toEqual([1, 3]);
});

test("what never comes is waited for as long as was said; what is there is answered", async () => {
  const { jaeger } = await query(() => answerOf(spanOf("00000000000000a1")));
  const wanted = ["00000000000000a1", "00000000000000a2"].map((spanId) => ({ traceId, spanId }));
  expect(await jaeger.readBack(wanted, { withinMs: 300 })).toHaveLength(1);
  expect(await jaeger.readBack([])).toEqual([]);
});

test("a signal ends the waiting", async () => {
  const { jaeger } = await query(() => notFound);
  const abort = new AbortController();
  const reading = jaeger.readBack([{ traceId, spanId: "00000000000000a1" }], { signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
});

test("a search names service, times and a limit", async () => {
  const { jaeger, asked } = await query(() => answerOf());
  expect(await jaeger.search({ service: "orders", fromUs: 0, toUs: 2_000_000, limit: 5 })).toEqual([]);
  expect(Object.fromEntries(new URLSearchParams([...asked.keys()][0]!.split("?")[1]))).toEqual({
    "query.service_name": "orders",
    "query.start_time_min": "1970-01-01T00:00:01.000Z",
    "query.start_time_max": "1970-01-01T00:00:03.000Z",
    "query.num_traces": "5",
  });
});

test("nobody there, a refusal and garbage are errors that say what to do", async () => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  const away = openJaeger({ url: `http://127.0.0.1:${port}`, clock, epochUs: 0 });
  await expect(away.trace(traceId)).rejects.toMatchObject({
    code: "CANNOT_READ",
    message: expect.stringMatching(/can't be asked at http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/) as string,
    hint: expect.stringContaining("16686") as string,
  });
  await expect(away.readBack([{ traceId, spanId: "1" }], { withinMs: 50 })).rejects.toMatchObject({
    code: "CANNOT_READ",
  });
  const broken = await query(() => ({ status: 500, body: "out of order" }));
  await expect(broken.jaeger.trace(traceId)).rejects.toThrow(/answers 500: out of order/);
  for (const body of ["<html>", { result: 1 }, answerOf({ traceId: "x" }).body]) {
    const garbage = await query(() => ({ body }));
    await expect(garbage.jaeger.trace(traceId)).rejects.toMatchObject({ code: "MALFORMED" });
  }
});
