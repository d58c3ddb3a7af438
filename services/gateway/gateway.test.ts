import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { builtInPolicies } from "../../runtime/call/client.ts";
import { rpcCodes } from "../../runtime/call/status.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { nodeHttp } from "../../runtime/node/http.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import { embeddedOnly } from "../../runtime/ports/infrastructure.ts";
import { httpStatus } from "../../runtime/protocols/http-status.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";
import type { CallBegin, CallEnd, RuntimeEvent } from "../../runtime/telemetry/events.ts";
import { programs } from "../programs.ts";
import type { NodeContext, RunningService } from "../service.ts";

const clock = systemClock();
const noDisk: Disk = {
  read: () => Promise.resolve(undefined),
  append: () => Promise.resolve(),
  sync: () => Promise.resolve(),
  rename: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/** A fleet in this process, on real sockets. */
class Fleet {
  readonly events: RuntimeEvent[] = [];
  readonly #running: RunningService[] = [];
  #registry = "";

  async start(program: string, config: object, changes: Partial<NodeContext> = {}): Promise<RunningService> {
    const telemetry = { emit: (event: RuntimeEvent) => void (program === "gateway" && this.events.push(event)) };
    const one = programs.get(program)!;
    const context: NodeContext = {
      node: `${program}/0`,
      listen: "127.0.0.1:0",
      clock,
      random: createRandom(1),
      transport: tripleTransport({ clock }),
      http: nodeHttp({ clock }),
      disk: noDisk,
      telemetry,
      calls: new CallLog({ clock, telemetry }),
      policies: builtInPolicies,
      infrastructure: embeddedOnly,
      work: (us) => clock.sleep(us),
      ...changes,
    };
    const running = await one.start(
      context,
      one.parse({ ...config, ...(this.#registry && { registry: this.#registry }) }),
    );
    this.#running.push(running);
    if (program === "registry") this.#registry = running.address!;
    return running;
  }

  async whole(provider: object = {}, gateway: object = {}): Promise<{ url: string; gateway: RunningService }> {
    await this.start("registry", { mergeMs: 0 });
    const orders = await this.start("provider", { service: "orders", graceMs: 0, propagationMs: 0, ...provider });
    await orders.go();
    const front = await this.start("gateway", {
      application: "web",
      calls: { service: "orders", timeoutMs: 2000, retries: 0 },
      ...gateway,
    });
    await front.go();
    return { url: `http://${front.address}`, gateway: front };
  }

  /** The calls that the gateway recorded, beside those to the registry. */
  begun(): CallBegin[] {
    return this.events.filter((event) => event.type === "call.begin").filter(({ service }) => service === "orders");
  }

  ended(): CallEnd[] {
    const ids = new Set(this.begun().map(({ call }) => call));
    return this.events.filter((event) => event.type === "call.end").filter(({ call }) => ids.has(call));
  }

  async close(): Promise<void> {
    for (const running of this.#running.splice(0).reverse()) await running.stop();
  }
}

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});
afterEach(() => fleet.close());

test("each request is one governed call, recorded like any", async () => {
  const { url } = await fleet.whole({ metadata: { "dubbo.tag": "gray" } }, { key: { name: "user", count: 10 } });
  const key = new URLSearchParams({ key: "u 7" });
  const answers = [
    await fetch(`${url}/do?${key.toString()}`),
    await fetch(`${url}/do`, { method: "POST" }),
    await fetch(`${url}/do`, { method: "POST", body: '{"key": "me", "payload": "there and back"}' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([
    { instance: "provider/0" },
    { instance: "provider/0" },
    { instance: "provider/0", payload: "there and back" },
  ]);
  expect(fleet.begun()).toHaveLength(3);
  expect(fleet.ended().map(({ code, attempts }) => [code, attempts.map(({ instance }) => instance)])).toEqual(
    Array.from({ length: 3 }, () => ["OK", ["provider/0"]]),
  );
});

test("a call that fails answers the status of its code, with what to do", async () => {
  const { url } = await fleet.whole({ errorRate: 1 });
  const answer = await fetch(`${url}/do`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({ code: "UNAVAILABLE", message: "provider/0 fails by its error rate" });
  expect(fleet.ended().map(({ code }) => code)).toEqual(["UNAVAILABLE"]);
});

test("a deadline from the client shortens the call, and never lengthens it", async () => {
  const { url } = await fleet.whole(
    { serviceTime: { kind: "constant", us: 5_000_000 } },
    { calls: { service: "orders", timeoutMs: 300, retries: 0 } },
  );
  const timed = async (headers: Record<string, string>): Promise<number> => {
    const fromUs = clock.nowUs();
    expect((await fetch(`${url}/do`, { headers })).status).toBe(504);
    return clock.nowUs() - fromUs;
  };
  expect(await timed({ "grpc-timeout": "50m" })).toBeLessThan(290_000);
  expect(await timed({ "grpc-timeout": "10S" })).toBeLessThan(4_000_000);
  expect(await timed({})).toBeLessThan(4_000_000);
  expect(fleet.ended().map(({ code }) => code)).toEqual(Array.from({ length: 3 }, () => "DEADLINE_EXCEEDED"));
});

test("a client that goes away cancels its call", async () => {
  const { url } = await fleet.whole({ serviceTime: { kind: "constant", us: 1_500_000 } });
  const abort = new AbortController();
  const answer = fetch(`${url}/do`, { signal: abort.signal }).catch(() => undefined);
  while (fleet.begun().length === 0) await clock.sleep(5_000);
  abort.abort();
  await answer;
  while (fleet.ended().length === 0) await clock.sleep(5_000);
  expect(fleet.ended().map(({ code }) => code)).toEqual(["CANCELLED"]);
});

test("trace context, baggage and tag go with the call, and nothing else does", async () => {
  const heard: Record<string, string>[] = [];
  const spy = {
    ...builtInPolicies,
    serverFilters: [
      async (call, request, next) => {
        heard.push(Object.fromEntries(call.metadata));
        return next(call, request);
      },
    ] as NodeContext["policies"]["serverFilters"],
  };
  await fleet.start("registry", { mergeMs: 0 });
  const orders = await fleet.start("provider", { service: "orders", graceMs: 0 }, { policies: spy });
  await orders.go();
  const gateway = await fleet.start("gateway", { application: "web", calls: { service: "orders" }, tag: "blue" });
  await gateway.go();
  const sent = {
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate: "a=1",
    baggage: "user=7,b=%20",
    "dubbo.tag": "gray",
  };
  await fetch(`http://${gateway.address}/do`, { headers: { ...sent, authorization: "secret", cookie: "a=b" } });
  expect(heard).toEqual([sent]);
});

test("a call counts from when its load wanted it", async () => {
  const { url, gateway } = await fleet.whole();
  const due = (us: string) => fetch(`${url}/do`, { headers: { "x-flyball-due-us": us } });
  expect(await (await due("5")).json()).toMatchObject({ code: "FAILED_PRECONDITION" });
  const startUs = clock.nowUs() - 1_000_000;
  await gateway.drive!({ startUs, dueUs: [], isWarmUp: false });
  expect((await due("250000")).status).toBe(200);
  expect(fleet.begun().map(({ dueUs }) => dueUs)).toEqual([startUs + 250_000]);
});

test("it can be driven as a consumer, in a world without HTTP too", async () => {
  await fleet.start("registry", { mergeMs: 0 });
  await (await fleet.start("provider", { service: "orders", graceMs: 0 })).go();
  const gateway = await fleet.start(
    "gateway",
    { application: "web", calls: { service: "orders" } },
    { http: undefined },
  );
  expect(gateway.address).toBeUndefined();
  await gateway.go();
  await gateway.drive!({ startUs: clock.nowUs(), dueUs: [0, 1000, 2000], isWarmUp: false });
  expect(fleet.ended().map(({ code }) => code)).toEqual(["OK", "OK", "OK"]);
});

test("its health says when it may be called: from when it is ready until it drains", async () => {
  await fleet.start("registry", { mergeMs: 0 });
  await (await fleet.start("provider", { service: "orders", graceMs: 0 })).go();
  const gateway = await fleet.start("gateway", { application: "web", calls: { service: "orders" } });
  const url = `http://${gateway.address}`;
  const health = async () => {
    const answer = await fetch(`${url}/healthz`);
    return [answer.status, ((await answer.json()) as { state: string }).state];
  };
  expect(await health()).toEqual([503, "starting"]);
  expect((await fetch(`${url}/do`)).status).toBe(503);
  await gateway.go();
  expect(await health()).toEqual([200, "ready"]);
  expect((await fetch(`${url}/healthz`, { method: "HEAD" })).status).toBe(200);
  await gateway.drain();
  await expect(health()).rejects.toThrow();
});

describe("a wrong request makes no call, and says what is wrong:", () => {
  test.each<[string, string, RequestInit, number, RegExp]>([
    ["another path", "/dow", {}, 404, /GET \/do/],
    ["another method", "/do", { method: "DELETE" }, 405, /GET, POST/],
    ["a body that is no JSON", "/do", { method: "POST", body: "{" }, 400, /no JSON/],
    ["a key that isn't known", "/do", { method: "POST", body: '{"kye": "u1"}' }, 400, /did you mean/],
    ["a value that is no text", "/do", { method: "POST", body: '{"key": 7}' }, 400, /key must be a text/],
    ["a key that can't travel", `/do?key=${encodeURIComponent("没有")}`, {}, 400, /printable ASCII/],
    ["a line break in a key", "/do?key=a%0d%0ab", {}, 400, /printable ASCII/],
    ["an endless key", `/do?key=${"a".repeat(300)}`, {}, 400, /at most 256/],
    ["a deadline that is none", "/do", { headers: { "grpc-timeout": "soon" } }, 400, /250m/],
    ["a due time that is none", "/do", { headers: { "x-flyball-due-us": "-1" } }, 400, /whole number/],
    ["a traceparent that can't travel", "/do", { headers: { traceparent: "\u00e9" } }, 400, /printable ASCII/],
  ])("%s", async (_, path, init, status, says) => {
    const { url } = await fleet.whole({}, { key: { name: "user", count: 10 } });
    const answer = await fetch(url + path, init);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toMatch(says);
    expect(fleet.begun()).toEqual([]);
  });
});

test("every code has an HTTP status, and only OK is a success", () => {
  expect(Object.keys(httpStatus).toSorted()).toEqual([...rpcCodes].toSorted());
  for (const code of rpcCodes) expect(httpStatus[code] < 400).toBe(code === "OK");
});
