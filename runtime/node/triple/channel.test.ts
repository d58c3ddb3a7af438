import { connect, createServer, type AddressInfo, type Socket } from "node:net";

import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { metadata, noMetadata } from "../../call/metadata.ts";
import type { Method } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";
import type { Codec } from "../../codec/codec.ts";
import { protobuf } from "../../codec/protobuf.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Response, Transport } from "../../ports/transport.ts";
import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { errorCodes } from "../http2/errors.ts";
import { clientPreface, frame, frameTypes, u32 } from "../http2/frames.ts";
import { emptySettings, RawPeer, type SeenFrame } from "../http2/testing.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();
const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => new TextEncoder().encode(String(message)),
  decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
  copy: (message: unknown) => message,
};
const method: Method<unknown, unknown> = {
  path: "/test.Test/Who",
  kind: "unary",
  codecName: "text",
  input: text,
  output: text,
};

let server: Transport;
const closing: { close(): unknown }[] = [];
beforeEach(() => {
  server = tripleTransport({ clock });
  closing.push(server);
});
afterEach(async () => {
  for (const item of closing.splice(0)) await item.close();
});

test("a port that nobody listens at is refused within milliseconds, the first time and after", async () => {
  const client = transport();
  const free = await deafServer();
  await free.stop();
  for (let time = 0; time < 3; time++) {
    const begin = clock.nowUs();
    const error = await failure(ask(client, free.address, { timeoutUs: 10_000_000 }));
    expect(error.code).toBe("UNAVAILABLE");
    expect(error.message).toContain(free.address);
    expect(error.hint).toBeDefined();
    expect(clock.nowUs() - begin).toBeLessThan(500_000);
  }
});

test("a request that waits for its connection goes as it was when the call was made", async () => {
  const codec = protobuf.codec(StringValueSchema) as Codec<unknown>;
  const say: Method<unknown, unknown> = { ...method, path: "/test.Test/Say", input: codec, output: codec };
  const serve = async (_: Call, message: unknown): Promise<Response> => {
    return { kind: "unary", message, trailers: noMetadata };
  };
  const { address } = await server.listen({
    address: "127.0.0.1:0",
    methods: new Map([[say.path, { method: say, serve }]]),
  });
  const client = transport();
  // The second finds a connection.
  for (const value of ["first", "second"]) {
    const request = codec.create({ value }) as { value: string };
    const call = new Call({ clock, service: "", method: say.path });
    const response = client.invoke(address, say, call, request);
    request.value = "something else that is longer";
    expect(await response).toMatchObject({ message: { value } });
    call.end();
  }
});

test("a peer that accepts and says nothing lets calls wait until their deadlines", async () => {
  const client = transport();
  const { address } = await deafServer();
  const begin = clock.nowUs();
  const error = await failure(ask(client, address, { timeoutUs: 150_000 }));
  expect(error.code).toBe("DEADLINE_EXCEEDED");
  const tookUs = clock.nowUs() - begin;
  expect(tookUs).toBeGreaterThanOrEqual(148_000);
  expect(tookUs).toBeLessThan(1_000_000);
});

test("a peer that accepts and says nothing for 20 s is left, and a new process at its address is reached", async () => {
  const virtual = new ManualClock();
  const client = tripleTransport({ clock: virtual });
  closing.push(client);
  const deaf = await deafServer();
  const waiting = failure(ask(client, deaf.address, {}, virtual));
  await until(() => deaf.sockets.size === 1);
  await virtual.advance(20_000_000);
  expect((await waiting).code).toBe("UNAVAILABLE");
  await deaf.stop();
  await listen(async () => reply("new"), deaf.address);
  expect(await ask(client, deaf.address, {}, virtual)).toBe("new");
});

test("a server that ends a call at its deadline, a moment before this side's timer fires, is no cancellation", async () => {
  const virtual = new ManualClock();
  let aheadUs = 0;
  // What a busy event loop looks like: the time has come, and the timer's turn hasn't.
  const late: Clock = {
    nowUs: () => virtual.nowUs() + aheadUs,
    wallMs: () => virtual.wallMs(),
    after: (delayUs, fn) => virtual.after(delayUs, fn),
    sleep: (delayUs, signal) => virtual.sleep(delayUs, signal),
  };
  const client = tripleTransport({ clock: late });
  closing.push(client);
  const { address } = await tcpServer((socket) => {
    const peer = new RawPeer(socket, clientPreface.length);
    peer.send(emptySettings);
    const begun = (id: number) => peer.frame(({ type, streamId }) => type === frameTypes.headers && streamId === id);
    void begun(1).then(() => peer.send(frame(frameTypes.rstStream, 0, 1, u32(errorCodes.cancel))));
    void begun(3).then(() => {
      aheadUs = 100_000;
      peer.send(frame(frameTypes.rstStream, 0, 3, u32(errorCodes.cancel)));
    });
  });
  expect((await failure(ask(client, address, { timeoutUs: 100_000 }, late))).code).toBe("CANCELLED");
  const error = await failure(ask(client, address, { timeoutUs: 100_000 }, late));
  expect([error.code, error.reach]).toEqual(["DEADLINE_EXCEEDED", "application"]);
});

test("a server that finds pings too many gets none in the first five minutes of the next connection's silence", async () => {
  const virtual = new ManualClock();
  const client = tripleTransport({ clock: virtual });
  closing.push(client);
  const peers: RawPeer[] = [];
  const { address } = await tcpServer((socket) => {
    peers.push(new RawPeer(socket, clientPreface.length));
    peers.at(-1)!.send(emptySettings);
  });
  const begun = async (index: number): Promise<RawPeer> => {
    void failure(ask(client, address, {}, virtual));
    await until(() => peers.length > index);
    await peers[index]!.frame(({ type }) => type === frameTypes.headers);
    return peers[index]!;
  };
  const isPing = ({ type, flags }: SeenFrame): boolean => type === frameTypes.ping && flags === 0;
  const first = await begun(0);
  await virtual.advance(22_000_000);
  await first.frame(isPing);
  const text = Buffer.from("too_many_pings");
  first.send(frame(frameTypes.goaway, 0, 0, Buffer.concat([u32(1), u32(errorCodes.enhanceYourCalm), text])));
  await first.settled();
  const second = await begun(1);
  await virtual.advance(298_000_000);
  await clock.sleep(50_000);
  expect(second.seen.filter(isPing)).toEqual([]);
  await virtual.advance(4_000_000);
  await second.frame(isPing);
});

test("a changed way takes effect with the next call, and calls in flight finish on the old one", async () => {
  let finish: ((response: Response) => void) | undefined;
  const one = await listen(() => new Promise((resolve) => (finish = resolve)));
  const two = await listen(async () => reply("two"));
  let way = one;
  const client = transport((address) => (address === "orders:1" ? way : address));
  const inFlight = ask(client, "orders:1", { timeoutUs: 5_000_000 });
  while (finish === undefined) await clock.sleep(2_000);
  way = two;
  expect(await ask(client, "orders:1")).toBe("two");
  finish(reply("one"));
  expect(await inFlight).toBe("one");
});

test("calls that wait for a mute peer go on waiting when the way changes", async () => {
  let { address: way } = await deafServer();
  const two = await listen(async () => reply("two"));
  const client = transport(() => way);
  const waiting = failure(ask(client, "orders:1", { timeoutUs: 200_000 }));
  await clock.sleep(50_000);
  way = two;
  expect(await ask(client, "orders:1")).toBe("two");
  expect((await waiting).code).toBe("DEADLINE_EXCEEDED");
});

test("a way that isn't used any more is closed", async () => {
  const two = await listen(async () => reply("two"));
  const { address, sockets } = await tcpServer((near) => {
    const far = connect(Number(two.split(":")[1]), "127.0.0.1");
    near.pipe(far).pipe(near);
    far.on("error", () => near.destroy());
  });
  let way = address;
  const client = transport(() => way);
  expect(await ask(client, "orders:1")).toBe("two");
  expect(sockets.size).toBe(1);
  way = two;
  expect(await ask(client, "orders:1")).toBe("two");
  while (sockets.size > 0) await clock.sleep(2_000);
});

test("a call that was cancelled before is never sent", async () => {
  let served = 0;
  const address = await listen(async () => {
    served++;
    return reply("");
  });
  const call = new Call({ clock, service: "", method: method.path });
  call.cancel();
  await expect(transport().invoke(address, method, call, "")).rejects.toMatchObject({ code: "CANCELLED" });
  expect(served).toBe(0);
});

test("metadata that gRPC can't carry is INVALID_ARGUMENT", async () => {
  const address = await listen(async () => reply(""));
  for (const entries of [{ "x-city": "杭州" }, { "no spaces": "x" }, { "x-line": "a\nb" }]) {
    const error = await failure(ask(transport(), address, { metadata: metadata(entries) }));
    expect(error.code).toBe("INVALID_ARGUMENT");
  }
});

test("an error's message may hold anything and be of any length", async () => {
  for (const message of ["%", "\ud800 half", "新\n行", "x".repeat(1_000_000)]) {
    const address = await listen(async () => {
      throw new RpcError(message, { code: "ABORTED" });
    });
    const error = await failure(ask(transport(), address));
    expect(error.code).toBe("ABORTED");
    expect(error.message.slice(0, 1)).toBe(message.toWellFormed().slice(0, 1));
  }
});

test("closing a transport ends its calls and refuses new ones", async () => {
  const address = await listen(() => new Promise(() => undefined));
  const client = transport();
  const inFlight = failure(ask(client, address));
  await clock.sleep(20_000);
  await client.close();
  expect((await inFlight).code).toBe("UNAVAILABLE");
  expect((await failure(ask(client, address))).code).toBe("UNAVAILABLE");
});

test("listens on loopback only, unless told otherwise", async () => {
  for (const address of ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0", "nonsense", "127.0.0.1:70000"]) {
    await expect(server.listen({ address, methods: new Map() })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  }
  const open = tripleTransport({ clock, isLoopbackOnly: false });
  closing.push(open);
  const listener = await open.listen({ address: "0.0.0.0:0", methods: new Map() });
  expect(listener.address).toMatch(/^0\.0\.0\.0:\d+$/);
});

test("a released address's connection is closed once its last call has ended", async () => {
  let answer = (_: Response): void => undefined;
  const address = await listen(() => new Promise((resolve) => (answer = resolve)));
  const far = await tcpServer((near) => {
    const [host, port] = address.split(":");
    const onward = connect(Number(port), host).on("error", () => near.destroy());
    near.pipe(onward).pipe(near);
  });
  const client = transport(() => far.address);
  const pending = ask(client, address);
  await until(() => far.sockets.size === 1);
  client.release(address);
  await clock.sleep(50_000);
  expect(far.sockets.size).toBe(1);
  answer(reply("done"));
  expect(await pending).toBe("done");
  await until(() => far.sockets.size === 0);
});

/** Waits for what comes by itself; the test's own time ends a wait in vain. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await clock.sleep(5_000);
}

function transport(dial?: (address: string) => string): Transport {
  const made = tripleTransport({ clock, dial });
  closing.push(made);
  return made;
}

async function listen(serve: () => Promise<Response>, address = "127.0.0.1:0"): Promise<string> {
  const methods = new Map([[method.path, { method, serve }]]);
  return (await server.listen({ address, methods })).address;
}

const reply = (message: string): Response => ({ kind: "unary", message, trailers: noMetadata });

async function ask(
  client: Transport,
  address: string,
  options: { readonly timeoutUs?: number; readonly metadata?: ReadonlyMap<string, string> } = {},
  on: Clock = clock,
): Promise<unknown> {
  const call = new Call({ clock: on, service: "", method: method.path, ...options });
  try {
    const response = await client.invoke(address, method, call, "who?");
    return response.kind === "unary" ? response.message : undefined;
  } catch (error) {
    throw call.reason ?? error;
  } finally {
    call.end();
  }
}

async function failure(work: Promise<unknown>): Promise<RpcError> {
  const value = await work.catch((error: unknown) => error);
  if (value instanceof RpcError) return value;
  throw new Error(`no RpcError but ${String(value)}`);
}

/** Accepts connections and answers nothing. */
const deafServer = () => tcpServer((socket) => socket.resume());

async function tcpServer(
  handle: (socket: Socket) => void,
): Promise<{ sockets: Set<Socket>; address: string; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const acceptor = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    handle(socket);
  });
  await new Promise<void>((resolve) => acceptor.listen(0, "127.0.0.1", resolve));
  closing.push({
    close: () => {
      acceptor.close();
      sockets.forEach((socket) => void socket.destroy());
    },
  });
  return {
    sockets,
    address: `127.0.0.1:${(acceptor.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => acceptor.close(() => resolve())),
  };
}
