import { connect } from "node:net";
import { gzipSync } from "node:zlib";

import { afterEach, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { metadata, noMetadata, type Metadata } from "../call/metadata.ts";
import { createServer } from "../call/server.ts";
import { methodsOf, type Handlers, type Method } from "../call/service.ts";
import type { RpcError } from "../call/status.ts";
import { Health as HealthService } from "../health/proto/health_pb.ts";
import type { Response, ServedMethod, Transport } from "../ports/transport.ts";
import { systemClock } from "./clock.ts";
import { framedTransport } from "./framed.ts";
import { encodeHello, frameTypes, protocolVersion } from "./framed/wire.ts";
import { u32 } from "./http2/frames.ts";
import { PeersMemory } from "./peer-memory.ts";
import { tripleTransport } from "./triple.ts";

const clock = systemClock();
const megabyte = 1024 * 1024;

test("beyond what all may have, those that have most go, as many as it takes", async () => {
  const memory = new PeersMemory(100);
  const gone: string[] = [];
  const [small, large, larger] = ["small", "large", "larger"].map((name) => memory.join(() => gone.push(name)));
  small!.add(20);
  large!.add(30);
  larger!.add(50);
  expect(memory.bytes).toBe(100);
  large!.add(10);
  larger!.add(20);
  small!.add(50);
  await new Promise((resolve) => setImmediate(resolve));
  expect(gone).toEqual(["small", "larger"]);
  expect(memory.bytes).toBe(40);
  large!.leave();
  large!.add(7);
  expect(memory.bytes).toBe(0);
});

const bytes = {
  create: (init: unknown) => init,
  encode: (message: unknown) => message as Uint8Array,
  decode: (lent: Uint8Array): unknown => Uint8Array.from(lent),
  copy: (message: unknown) => message,
};
const size: Method<unknown, unknown> = {
  path: "/t.T/Size",
  kind: "unary",
  codecName: "bytes",
  input: bytes,
  output: bytes,
};
const swallow: Method<unknown, unknown> = { ...size, path: "/t.T/Swallow", kind: "client-streaming" };
const slow: Method<unknown, unknown> = { ...size, path: "/t.T/Slow" };

type Make = (memoryBytesMax?: number) => Transport;
const triple: Make = (memoryBytesMax) => tripleTransport({ clock, memoryBytesMax });
const framed: Make = (memoryBytesMax) => framedTransport({ clock, memoryBytesMax });

const opened: Transport[] = [];
afterEach(() => Promise.all(opened.splice(0).map((transport) => transport.close())));

/** A node whose peers may make it keep 8 MiB together. */
async function node(make: Make, streams: readonly Method<unknown, unknown>[] = []) {
  const open = (memoryBytesMax?: number): Transport => {
    const transport = make(memoryBytesMax);
    opened.push(transport);
    return transport;
  };
  const reply = (message: unknown): Response => ({ kind: "unary", message, trailers: noMetadata });
  const never = (call: Call) => new Promise<Response>((_, reject) => void call.onCancel(reject));
  const served: ServedMethod[] = [
    { method: size, serve: async (_, message) => reply(Uint8Array.of((message as Uint8Array).length)) },
    { method: slow, serve: never },
    ...streams.map((method) => ({ method, serve: never })),
  ];
  const { address } = await open(8 * megabyte).listen({
    address: "127.0.0.1:0",
    methods: new Map(served.map((one) => [one.method.path, one])),
  });
  const ask = async (
    transport: Transport,
    method: Method<unknown, unknown>,
    request: unknown,
    noted: Metadata = noMetadata,
  ): Promise<unknown> => {
    const call = new Call({ clock, service: "t", method: method.path, metadata: noted, timeoutUs: 20_000_000 });
    try {
      return await transport.invoke(address, method, call, request);
    } catch (error) {
      return (error as RpcError).code;
    } finally {
      call.end();
    }
  };
  /** A peer that keeps within its rights, before, while and after another one doesn't. */
  const beside = async <T>(greedy: (transport: Transport) => Promise<T>): Promise<T> => {
    const modest = open();
    const waiting = ask(modest, slow, new Uint8Array(1000));
    expect(await ask(modest, size, new Uint8Array(7))).toMatchObject({ message: Uint8Array.of(7) });
    const outcome = await greedy(open());
    expect(await ask(modest, size, new Uint8Array(9))).toMatchObject({ message: Uint8Array.of(9) });
    const isWaiting = await Promise.race([waiting.then(() => false), clock.sleep(20_000).then(() => true)]);
    expect(isWaiting).toBe(true);
    return outcome;
  };
  return { port: Number(address.split(":")[1]), ask, beside };
}

test.each([
  ["triple", triple],
  ["framed", framed],
])(
  "over %s the peer is ended whose calls' messages take most while they are worked on, and no other",
  async (_, make) => {
    const { ask, beside } = await node(make);
    const outcome = await beside((greedy) =>
      Promise.all(Array.from({ length: 4 }, () => ask(greedy, slow, new Uint8Array(3 * megabyte)))),
    );
    expect(outcome).toEqual(["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]);
  },
);

test.each([
  ["triple", triple, slow],
  ["triple, streams", triple, swallow],
  ["framed", framed, slow],
])("over %s the peer is ended whose calls' metadata take most, and no other", async (_, make, method) => {
  const { ask, beside } = await node(make, method === swallow ? [swallow] : []);
  async function* nothing() {
    // Its caller ends its side at once.
  }
  const outcome = await beside((greedy) =>
    Promise.all(
      Array.from({ length: 200 }, () => {
        const request = method === swallow ? nothing() : new Uint8Array(10);
        return ask(greedy, method, request, metadata({ "x-a": "v".repeat(50_000) }));
      }),
    ),
  );
  expect(new Set(outcome)).toEqual(new Set(["UNAVAILABLE"]));
});

test("metadata count no longer than their calls are worked on", async () => {
  const { ask } = await node(triple);
  const greedy = triple();
  opened.push(greedy);
  const noted = metadata({ "x-a": "v".repeat(50_000) });
  for (let time = 0; time < 400; time++) {
    expect(await ask(greedy, size, new Uint8Array(7), noted)).toMatchObject({ message: Uint8Array.of(7) });
  }
});

test.each([
  ["triple", triple],
  ["framed", framed],
])("over %s messages of calls that were cancelled count as long as their handlers are at work", async (_, make) => {
  const [transport, greedy] = [make(8 * megabyte), make()];
  opened.push(transport, greedy);
  let atWork = 0;
  const deaf = () => {
    atWork++;
    return new Promise<never>(() => undefined);
  };
  const handlers = { check: deaf } as unknown as Handlers<typeof HealthService>;
  const { address } = await createServer({ transport }).add(HealthService, handlers).listen("127.0.0.1:0");
  const check = methodsOf(HealthService).get("check")!;
  const request = check.input.create({ service: "x".repeat(3 * megabyte) });
  for (let before = 0; before < 2; before++) {
    const call = new Call({ clock, service: "t", method: check.path });
    const ended = greedy.invoke(address, check, call, request).catch(({ code }: RpcError) => code);
    await expect.poll(() => atWork).toBe(before + 1);
    call.cancel();
    expect(await ended).toBe("CANCELLED");
  }
  const last = new Call({ clock, service: "t", method: check.path, timeoutUs: 3_000_000 });
  await expect(greedy.invoke(address, check, last, request)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  last.end();
});

test("the peer is ended whose streams nobody reads, when they are too many", async () => {
  const { ask, beside } = await node(triple, [swallow]);
  async function* parts() {
    for (;;) yield new Uint8Array(100_000);
  }
  const outcome = await beside((greedy) =>
    Promise.all(Array.from({ length: 60 }, () => ask(greedy, swallow, parts()))),
  );
  expect(new Set(outcome)).toEqual(new Set(["UNAVAILABLE"]));
});

/** Peers that each send half of a request, until one of them has been ended; what it was told. */
async function halves(port: number, beginning: Buffer): Promise<string> {
  const sockets = Array.from({ length: 6 }, () => connect({ port, host: "127.0.0.1" }));
  try {
    return await Promise.race(
      sockets.map(
        (socket) =>
          new Promise<string>((resolve) => {
            let told = "";
            socket.on("data", (chunk: Buffer) => (told += chunk.toString("latin1")));
            socket.on("error", () => undefined).once("close", () => resolve(told));
            socket.write(Buffer.concat([beginning, Buffer.alloc(2 * megabyte)]));
          }),
      ),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

test("a peer is ended of those whose frames over TCP never end, when they are too many", async () => {
  const { port, beside } = await node(framed);
  const hello = encodeHello({ version: protocolVersion, frameBytesMax: 1_000_000 });
  const beginning = Buffer.concat([u32(5 + hello.length), Buffer.of(frameTypes.hello), u32(0), hello]);
  const half = Buffer.concat([u32(4 * megabyte), Buffer.of(frameTypes.request), u32(1)]);
  expect(await beside(() => halves(port, Buffer.concat([beginning, half])))).toContain("too much is kept for it");
});

test("a peer is ended of those whose bodies over HTTP/1.1 never end, when they are too many", async () => {
  const { port, beside } = await node(triple);
  const head = `POST ${size.path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/bytes\r\ncontent-length: 4000000\r\n\r\n`;
  expect(await beside(() => halves(port, Buffer.from(head)))).toBe("");
});

test("a body over HTTP/1.1 counts as what is behind its compression", async () => {
  const { port, beside } = await node(triple);
  const body = gzipSync(new Uint8Array(3 * megabyte));
  const head = `POST ${slow.path} HTTP/1.1\r\nhost: t\r\ncontent-type: application/bytes\r\ncontent-encoding: gzip\r\n`;
  const request = Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`), body]);
  expect(await beside(() => closedOf(4, port, request))).toBeGreaterThan(0);
});

/** So many peers send the same; how many of them have been ended when the first one is, or after 3 s. */
async function closedOf(peers: number, port: number, request: Buffer): Promise<number> {
  let closed = 0;
  const sockets = Array.from({ length: peers }, () => connect({ port, host: "127.0.0.1" }));
  try {
    const first = sockets.map((socket) => {
      socket.on("error", () => undefined).write(request);
      return new Promise<void>((resolve) => {
        socket.once("close", () => {
          closed++;
          resolve();
        });
      });
    });
    await Promise.race([...first, clock.sleep(3_000_000)]);
    return closed;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}
