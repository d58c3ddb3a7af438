import { afterEach, beforeEach, expect, test } from "vitest";

import { Call } from "../../../runtime/call/call.ts";
import { builtInPolicies, createClient, type Client, type ServiceSettings } from "../../../runtime/call/client.ts";
import { createServer } from "../../../runtime/call/server.ts";
import type { Handlers } from "../../../runtime/call/service.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import type { Registry } from "../../../runtime/ports/registry.ts";
import type { Listener, Transport } from "../../../runtime/ports/transport.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { CallEnd, RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { freePort } from "../peers.ts";
import { fleetCases } from "./fleet-cases.ts";
import { serveInterop } from "./fleet-service.ts";
import { TestService } from "./test_pb.ts";

// Calls in which the client streams, as a fleet makes them: discovered, balanced, recorded, and never made twice.

const clock = systemClock();
let transport: Transport;
let clients: Client[] = [];
beforeEach(() => {
  transport = tripleTransport({ clock, reconnect: { initialMs: 10, maxMs: 10 } });
});
afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  await transport.close();
});

const serve = (handlers: Partial<Handlers<typeof TestService>>): Promise<Listener> =>
  createServer({ transport })
    .add(TestService, handlers as Handlers<typeof TestService>)
    .listen("127.0.0.1:0");

/** A stub whose calls begin with the first of those addresses that they haven't tried. */
function governed(addresses: readonly string[], settings: ServiceSettings = {}) {
  const events: RuntimeEvent[] = [];
  const registry: Registry = {
    state: "connected",
    register: () => Promise.reject(new Error("nobody registers here")),
    lookup: () => Promise.reject(new Error("nobody looks here")),
    watch: (service, listener) => {
      const instances = addresses.map((address) => ({ id: address, service, address, weight: 1, metadata: {} }));
      listener({ service, version: 1, instances, removed: [] });
      return { close: () => undefined };
    },
    close: async () => undefined,
  };
  const client = createClient({
    ...{ clock, transport, registry, random: createRandom(1), application: "shop" },
    telemetry: { emit: (event) => events.push(event) },
    policies: {
      ...builtInPolicies,
      balancers: {
        first: () => (live) => ({ pick: () => live[0] }),
        // As weights that warm up do.
        anew: () => (live) => ({ pick: () => live[0] && { ...live[0] } }),
      },
    },
  });
  clients.push(client);
  const stub = client.service("interop", TestService, { balancer: "first", timeoutMs: 20_000, ...settings });
  const ends = (): readonly CallEnd[] => events.filter((event): event is CallEnd => event.type === "call.end");
  return { stub, ends };
}

test.each(Object.entries(fleetCases))("%s", async (_, holds) => {
  const { address } = await serveInterop(transport);
  await holds({ stub: governed([address]).stub, clock });
});

test("an attempt that never left has taken nothing: another instance gets all messages, and both are on record", async () => {
  const { address } = await serveInterop(transport);
  const away = `127.0.0.1:${await freePort()}`;
  const { stub, ends } = governed([away, address], { cluster: "failfast" });
  const requests = [1, 2, 3].map((size) => ({ payload: { body: new Uint8Array(size) } }));
  expect((await stub.streamingInputCall(requests)).aggregatedPayloadSize).toBe(6);
  expect(ends()[0]!.attempts.map(({ instance, code }) => `${instance} ${code}`)).toEqual([
    `${away} UNAVAILABLE`,
    `${address} OK`,
  ]);
});

test("instances that can't be reached are tried once each, also where each look finds them anew", async () => {
  const away = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const { stub, ends } = governed(away, { balancer: "anew", timeoutMs: 3_000 });
  await expect(stub.streamingInputCall([{}])).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(ends()[0]!.attempts.map(({ instance }) => instance)).toEqual(away);
});

test.each(["failover", "forking", "failback", "hedging", "broadcast"])(
  "whose messages were taken is made once, also by a service whose strategy is %s",
  async (cluster) => {
    let begun = 0;
    const unwilling = async (requests: AsyncIterable<unknown>): Promise<never> => {
      begun++;
      for await (const _ of requests) break;
      throw new RpcError("not now", { code: "UNAVAILABLE" });
    };
    const listeners = [
      await serve({ streamingInputCall: unwilling }),
      await serve({ streamingInputCall: unwilling }),
      await serve({ streamingInputCall: unwilling }),
    ];
    const { stub, ends } = governed(
      listeners.map(({ address }) => address),
      { cluster, retries: 2, ...(cluster === "hedging" && { hedging: { maxAttempts: 3, hedgingDelayMs: 0 } }) },
    );
    await expect(stub.streamingInputCall([{}])).rejects.toMatchObject({ code: "UNAVAILABLE", message: "not now" });
    await clock.sleep(50_000);
    expect(begun).toBe(1);
    expect(ends().map(({ attempts }) => attempts.length)).toEqual([1]);
  },
);

test("what can't be iterated is refused before anything happens", async () => {
  const { address } = await serveInterop(transport);
  const { stub, ends } = governed([address]);
  await expect(stub.streamingInputCall(7 as never)).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: "/grpc.testing.TestService/StreamingInputCall takes a stream of messages",
  });
  expect(ends()).toEqual([]);
});

test("a call that ends early tells what gives the messages, also where nobody ever took one", async () => {
  const { stub } = governed([]);
  let isLeft = false;
  const requests = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.reject(new Error("nobody may ask")),
      return: async () => {
        isLeft = true;
        return { done: true as const, value: undefined };
      },
    }),
  };
  await expect(stub.streamingInputCall(requests)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(isLeft).toBe(true);
});

const large = { payload: { body: new Uint8Array(50_000) } };

test("a handler that doesn't read holds back its caller, and gets everything when it does", async () => {
  let read!: () => void;
  const reading = new Promise<void>((resolve) => (read = resolve));
  const { address } = await serve({
    streamingInputCall: async (requests) => {
      await reading;
      let aggregatedPayloadSize = 0;
      for await (const { payload } of requests) aggregatedPayloadSize += payload!.body.length;
      return { aggregatedPayloadSize };
    },
  });
  let taken = 0;
  async function* requests() {
    for (; taken < 200; taken++) yield large;
  }
  const answer = governed([address]).stub.streamingInputCall(requests());
  await clock.sleep(200_000);
  // The windows and what the socket takes: far from the ten megabytes that there are.
  expect(taken).toBeLessThan(100);
  read();
  expect((await answer).aggregatedPayloadSize).toBe(10_000_000);
});

test("a caller that doesn't read its answers holds back a handler of both streams, and the handler its caller", async () => {
  const { address } = await serve({
    async *fullDuplexCall(requests) {
      for await (const { payload } of requests) yield { payload: payload! };
    },
  });
  let taken = 0;
  async function* requests() {
    for (; taken < 400; taken++) yield large;
  }
  const messages = await governed([address]).stub.fullDuplexCall(requests());
  await clock.sleep(200_000);
  expect(taken).toBeLessThan(200);
  let answers = 0;
  for await (const _ of messages) answers++;
  expect(answers).toBe(400);
});

test("cancelling reaches both: the handler that waits for a message, and what gives the messages", async () => {
  let heard = "";
  const { address } = await serve({
    async *fullDuplexCall(requests) {
      try {
        for await (const _ of requests) continue;
      } catch (error) {
        heard = (error as RpcError).code;
      }
    },
  });
  const parent = new Call({ clock, service: "", method: "test" });
  let isLeft = false;
  async function* requests() {
    try {
      for (;;) {
        yield {};
        await clock.sleep(5_000);
      }
    } finally {
      isLeft = true;
    }
  }
  const { stub, ends } = governed([address]);
  const messages = await stub.fullDuplexCall(requests(), { parent });
  const reading = messages[Symbol.asyncIterator]().next();
  await clock.sleep(30_000);
  parent.cancel();
  await expect(reading).rejects.toMatchObject({ code: "CANCELLED" });
  await expect.poll(() => [heard, isLeft]).toEqual(["CANCELLED", true]);
  expect(ends().map(({ code }) => code)).toEqual(["CANCELLED"]);
});
