import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "@opentelemetry/semantic-conventions";
import { afterEach, expect, test } from "vitest";

import type { SpanExporter } from "../../ports/span-exporter.ts";
import { attribute, type Span } from "../../telemetry/span.ts";
import { systemClock } from "../clock.ts";
import { otlpExporter } from "./otlp.ts";

const clock = systemClock();
const owned: (() => void)[] = [];
afterEach(() => {
  for (const close of owned.splice(0)) close();
});

/** Something that listens like a trace store, and answers as it is told. */
async function store(answer: (response: ServerResponse, index: number) => void) {
  const bodies: string[] = [];
  const paths: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      paths.push(request.url);
      bodies.push(Buffer.concat(chunks).toString("latin1"));
      answer(response, bodies.length);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  owned.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies, paths };
}

const accept = (response: ServerResponse): void => void response.writeHead(200).end();

function exporterTo(url: string): SpanExporter {
  return otlpExporter({ url, application: "orders", node: "orders/0", run: "run-1", clock });
}

const span = (number: number, more: Partial<Span> = {}): Span => ({
  type: "span",
  atUs: clock.nowUs(),
  beginUs: clock.nowUs() - 1_000,
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: (number + 1).toString(16).padStart(16, "0"),
  name: "flyball.worker.v1.Worker/Do",
  kind: "server",
  status: "unset",
  attributes: { "rpc.status_code": "OK" },
  ...more,
});

/** How long it took, in milliseconds. */
async function timed(work: Promise<void>): Promise<number> {
  const startUs = clock.nowUs();
  await work;
  return (clock.nowUs() - startUs) / 1000;
}

test("sends every span, those from before the SDK was there included, with who sent it", async () => {
  const { url, bodies, paths } = await store(accept);
  const exporter = exporterTo(`${url}/`);
  exporter.export(span(0, { name: "first", tracestate: "congo=t61" }));
  for (let number = 1; number < 2_000; number++) exporter.export(span(number));
  await exporter.flush(5_000);
  expect(exporter.counts).toEqual({ sent: 2_000, dropped: 0, waiting: 0 });
  exporter.export(span(2_000, { name: "last" }));
  await exporter.close(5_000);
  expect(exporter.counts).toEqual({ sent: 2_001, dropped: 0, waiting: 0 });
  expect(new Set(paths)).toEqual(new Set(["/v1/traces"]));
  for (const text of ["first", "last", "congo=t61", "orders/0", "run-1", "service.instance.id"]) {
    expect(bodies.join("")).toContain(text);
  }
  exporter.export(span(2_001));
  expect(exporter.counts).toMatchObject({ sent: 2_001, dropped: 1 });
});

test("a store that nobody listens for costs bounded memory, is counted, and holds nobody up", async () => {
  const exporter = exporterTo("http://127.0.0.1:1");
  for (let number = 0; number < 20_000; number++) exporter.export(span(number));
  expect(exporter.counts.waiting).toBeLessThanOrEqual(8_192);
  expect(exporter.counts.dropped).toBe(20_000 - exporter.counts.waiting);
  expect(await timed(exporter.flush(200))).toBeLessThan(4_000);
  expect(await timed(exporter.close(200))).toBeLessThan(4_000);
  expect(exporter.counts).toEqual({ sent: 0, dropped: 20_000, waiting: 0 });
  await exporter.flush(200);
});

test("a store that never answers holds nobody up for longer than it may", async () => {
  const { url } = await store(() => undefined);
  const exporter = exporterTo(url);
  exporter.export(span(0));
  expect(await timed(exporter.close(300))).toBeGreaterThanOrEqual(290);
  expect(exporter.counts).toEqual({ sent: 0, dropped: 1, waiting: 0 });
});

test("what a store refuses is dropped; what it can't take now is sent again", async () => {
  const refusing = await store((response) => void response.writeHead(400).end());
  const refused = exporterTo(refusing.url);
  refused.export(span(0));
  await refused.close(5_000);
  expect(refused.counts).toEqual({ sent: 0, dropped: 1, waiting: 0 });

  const busy = await store((response, index) => (index === 1 ? void response.writeHead(503).end() : accept(response)));
  const repeated = exporterTo(busy.url);
  repeated.export(span(0));
  await repeated.close(8_000);
  expect(repeated.counts).toEqual({ sent: 1, dropped: 0, waiting: 0 });
});

test("spans arrive by themselves, soon", async () => {
  const { url, bodies } = await store(accept);
  const exporter = exporterTo(url);
  exporter.export(span(0));
  await expect.poll(() => bodies.length, { timeout: 5_000 }).toBe(1);
  await exporter.close(1_000);
});

test("attributes have the names that the pinned conventions give them", () => {
  expect({ ...attribute }).toMatchObject({
    system: ATTR_RPC_SYSTEM_NAME,
    method: ATTR_RPC_METHOD,
    statusCode: ATTR_RPC_STATUS_CODE,
    errorType: ATTR_ERROR_TYPE,
    serverAddress: ATTR_SERVER_ADDRESS,
    serverPort: ATTR_SERVER_PORT,
  });
});
