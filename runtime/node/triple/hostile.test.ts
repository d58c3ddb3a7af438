import { once } from "node:events";
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";

import { afterEach, beforeEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { noMetadata } from "../../call/metadata.ts";
import type { Method } from "../../call/service.ts";
import { createRandom } from "../../random.ts";
import type { Listener, Transport } from "../../ports/transport.ts";
import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { u32 } from "../http2/frames.ts";
import { tripleTransport } from "../triple.ts";

const clock = systemClock();
const bytes = {
  create: (init: unknown) => init,
  encode: asBytes,
  decode: (lent: unknown) => Uint8Array.from(asBytes(lent)),
  copy: (message: unknown) => message,
};
const echo: Method<unknown, unknown> = {
  path: "/test.Test/Echo",
  kind: "unary",
  codecName: "bytes",
  input: bytes,
  output: bytes,
};

let transport: Transport;
let listener: Listener;
let port: number;

beforeEach(async () => {
  transport = tripleTransport({ clock });
  const serve = async (_: Call, message: unknown) => ({ kind: "unary", message, trailers: noMetadata }) as const;
  listener = await transport.listen({
    address: "127.0.0.1:0",
    methods: new Map([[echo.path, { method: echo, serve }]]),
  });
  port = Number(listener.address.split(":")[1]);
});
afterEach(() => transport.close());

test("an HTTP/1.0 request gets its connection closed", async () => {
  await expectClosed("GET / HTTP/1.0\r\nhost: localhost\r\n\r\n");
});

test("garbage gets its connection closed", async () => {
  const random = createRandom(1);
  for (let time = 0; time < 20; time++) {
    await expectClosed(Buffer.from(Array.from({ length: 100 }, () => random.below(256))));
  }
});

test("garbage after a proper beginning gets its connection closed", async () => {
  const random = createRandom(2);
  for (let time = 0; time < 20; time++) {
    const garbage = Buffer.from(Array.from({ length: 20_000 }, () => random.below(256)));
    await expectClosed(Buffer.concat([preface, emptySettings, garbage]));
  }
});

test("a frame that says it is longer than any may be gets its connection closed", async () => {
  await expectClosed(Buffer.concat([preface, emptySettings, Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]));
});

test("connections that never say anything, or half of something, harm nobody", async () => {
  const silent = await Promise.all(Array.from({ length: 50 }, () => open()));
  for (const socket of silent.slice(0, 25)) socket.write("PRI * HT");
  await expectAlive();
  for (const socket of silent) socket.resetAndDestroy();
  await expectAlive();
});

test("a message whose prefix says 4 GiB is refused before it arrives", async () => {
  const { status, received } = await rawCall(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  expect(status).toBe(8);
  expect(received).toBe(0);
  await expectAlive();
});

test("a truncated message, and none at all, are errors", async () => {
  expect((await rawCall(Buffer.from([0, 0, 0, 0, 9, 1]))).status).toBeGreaterThan(0);
  expect((await rawCall(Buffer.alloc(0))).status).toBe(12);
  await expectAlive();
});

test("an undecodable message is INTERNAL and says nothing about the server", async () => {
  const serve = async (_: Call, message: unknown) => ({ kind: "unary", message, trailers: noMetadata }) as const;
  const decode = (): never => {
    throw new Error("secret");
  };
  const method = { ...echo, input: { ...bytes, decode } };
  const strict = await transport.listen({ address: "127.0.0.1:0", methods: new Map([[echo.path, { method, serve }]]) });
  const call = new Call({ clock, service: "", method: echo.path });
  const error: unknown = await transport.invoke(strict.address, echo, call, Buffer.from("x")).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: "INTERNAL" });
  expect(String(error)).not.toContain("secret");
});

test("too many headers are refused, and the node lives on", async () => {
  const headers = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x-${index}`, "v".repeat(100)]));
  await rawCall(Buffer.from([0, 0, 0, 0, 0]), headers).catch(() => undefined);
  await rawCall(Buffer.from([0, 0, 0, 0, 0]), { "x-large": "v".repeat(200_000) }).catch(() => undefined);
  await expectAlive();
});

test("a malformed timeout is refused", async () => {
  expect((await rawCall(Buffer.from([0, 0, 0, 0, 0]), { "grpc-timeout": "soon" })).status).toBe(13);
  await expectAlive();
});

test("10 MB are RESOURCE_EXHAUSTED, whichever side says so", async () => {
  const large = new Uint8Array(10_000_000);
  const generous = tripleTransport({ clock, messageBytesMax: 100_000_000 });
  const send = async (from: Transport, address: string, message: Uint8Array): Promise<unknown> => {
    const call = new Call({ clock, service: "", method: echo.path });
    return from.invoke(address, echo, call, message).then(
      () => "OK",
      (error: { readonly code: string }) => error.code,
    );
  };
  try {
    expect(await send(transport, listener.address, large)).toBe("RESOURCE_EXHAUSTED");
    expect(await send(generous, listener.address, large)).toBe("RESOURCE_EXHAUSTED");
    const serve = async () => ({ kind: "unary", message: large, trailers: noMetadata }) as const;
    const methods = new Map([[echo.path, { method: echo, serve }]]);
    const talkative = await generous.listen({ address: "127.0.0.1:0", methods });
    expect(await send(transport, talkative.address, new Uint8Array(1))).toBe("RESOURCE_EXHAUSTED");
    expect(await send(generous, talkative.address, new Uint8Array(1))).toBe("OK");
    await expectAlive();
  } finally {
    await generous.close();
  }
});

test.each([
  ["no message", undefined],
  ["half of one", Buffer.from([0, 0, 0, 0, 9, 1, 2])],
])("a deadline holds for a call with %s, too", async (_, sent) => {
  const session = await openSession();
  try {
    const stream = session.request({
      ":path": echo.path,
      ":method": "POST",
      "content-type": "application/grpc",
      "grpc-timeout": "50m",
    });
    if (sent !== undefined) stream.write(sent);
    const [heard] = (await once(stream, "response")) as [Record<string, string>];
    expect(heard).toMatchObject({ "grpc-status": "4" });
    await once(stream.resume(), "close");
    await expectAlive();
  } finally {
    session.destroy();
  }
});

test("what a connection hides behind compression costs what an honest one's messages may, and is refused beyond it", async () => {
  const compressed = (message: Buffer): Buffer => {
    const body = gzipSync(message);
    return Buffer.concat([Buffer.of(1), u32(body.length), body]);
  };
  const bomb = compressed(Buffer.alloc(4_000_000));
  // As JSON is: a tenth is left of it.
  const honest = compressed(
    Buffer.from(JSON.stringify(Array.from({ length: 4000 }, (_, key) => ({ key, name: "order" })))),
  );
  const frozen = new ManualClock();
  const own = tripleTransport({ clock: frozen });
  const serve = async (_: Call, message: unknown) => ({ kind: "unary", message, trailers: noMetadata }) as const;
  const methods = new Map([[echo.path, { method: echo, serve }]]);
  const session = connectHttp2(`http://${(await own.listen({ address: "127.0.0.1:0", methods })).address}`);
  session.on("error", () => undefined);
  try {
    const ask = async (sent: Buffer): Promise<number> => {
      const stream = session.request({
        ...{ ":path": echo.path, ":method": "POST", "content-type": "application/grpc" },
        ...{ te: "trailers", "grpc-encoding": "gzip" },
      });
      let status = -1;
      for (const event of ["response", "trailers"]) {
        stream.on(event, (heard: Record<string, string>) => {
          if (heard["grpc-status"] !== undefined) status = Number(heard["grpc-status"]);
        });
      }
      stream.end(sent);
      await once(stream.resume(), "close");
      return status;
    };
    for (let time = 0; time < 200; time++) expect(await ask(honest)).toBe(0);
    const bombs = async (count: number): Promise<number> => {
      let read = 0;
      for (let time = 0; time < count; time++) if ((await ask(bomb)) === 0) read++;
      return read;
    };
    // 64 MiB are 17 of them: then as many as time passes.
    expect(await bombs(30)).toBe(17);
    expect(await ask(honest)).toBe(8);
    await frozen.advance(1_000_000);
    expect(await ask(honest)).toBe(0);
    expect(await bombs(30)).toBeLessThanOrEqual(18);
    await expectAlive();
  } finally {
    session.destroy();
    await own.close();
  }
});

test("calls that never end their side hold 64 MiB of a connection at most", async () => {
  const session = await openSession();
  const message = Buffer.alloc(5 + 4_000_000);
  message.writeUInt32BE(4_000_000, 1);
  const statuses: number[] = [];
  const begin = (): ClientHttp2Stream => {
    const stream = session.request({ ":path": echo.path, ":method": "POST", "content-type": "application/grpc" });
    // OK comes in trailers.
    stream.on("error", () => undefined).on("response", (heard) => statuses.push(Number(heard["grpc-status"])));
    return stream;
  };
  const sending = async (): Promise<ClientHttp2Stream> => {
    const stream = begin();
    await new Promise<void>((resolve) => stream.on("close", resolve).write(message, () => resolve()));
    return stream;
  };
  try {
    const streams: ClientHttp2Stream[] = [];
    for (let count = 0; count < 20; count++) streams.push(await sending());
    await expect.poll(() => statuses.length).toBeGreaterThanOrEqual(20 - 16);
    // Its answer comes behind whatever was refused before.
    await new Promise<void>((resolve) => void session.ping(() => resolve()));
    const refused = statuses.length;
    expect(refused).toBeLessThan(10);
    expect(new Set(statuses)).toEqual(new Set([8]));
    // Who ends it is served all the same, and what is cancelled is let go of.
    begin().end(Buffer.from([0, 0, 0, 0, 0]));
    await expect.poll(() => statuses.length).toBe(refused + 1);
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    (await sending()).end();
    await expect.poll(() => statuses.length).toBe(refused + 2);
    expect(statuses.slice(refused)).toEqual([NaN, NaN]);
    await expectAlive();
  } finally {
    session.destroy();
  }
});

test("streams whose readers pause make no other call of their connection fail", async () => {
  const chunk = new Uint8Array(60_000);
  const streaming: Method<unknown, unknown> = { ...echo, path: "/test.Test/Stream", kind: "server-streaming" };
  let produced = 0;
  const serve = async () =>
    ({
      kind: "stream",
      messages: (async function* () {
        for (; ; produced++) yield chunk;
      })(),
    }) as const;
  const echoed = async (_: Call, message: unknown) => ({ kind: "unary", message, trailers: noMetadata }) as const;
  const { address } = await transport.listen({
    address: "127.0.0.1:0",
    methods: new Map([
      [streaming.path, { method: streaming, serve }],
      [echo.path, { method: echo, serve: echoed }],
    ]),
  });
  const paused = Array.from({ length: 270 }, () => new Call({ clock, service: "", method: streaming.path }));
  await Promise.all(paused.map((call) => transport.invoke(address, streaming, call, new Uint8Array(0))));
  // Each has filled its window.
  await expect.poll(() => produced, { timeout: 10_000 }).toBeGreaterThanOrEqual(270 * 4);
  await clock.sleep(100_000);
  const call = new Call({ clock, service: "", method: echo.path });
  const response = await transport.invoke(address, echo, call, new Uint8Array(1_000_000));
  expect(response.kind === "unary" && (response.message as Uint8Array).length).toBe(1_000_000);
  for (const one of paused) one.cancel();
});

test("a flood of streams that are reset at once ends with the connection, not with the node", async () => {
  const session = await openSession();
  session.on("error", () => undefined);
  for (let index = 0; index < 5_000 && !session.destroyed; index++) {
    const stream = session.request({ ":path": echo.path, ":method": "POST", "content-type": "application/grpc" });
    stream.on("error", () => undefined);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  await expectAlive();
  session.destroy();
});

test("a reader that stops holds back its stream's sender", async () => {
  const produced = { count: 0 };
  const chunk = new Uint8Array(10_000);
  const streaming: Method<unknown, unknown> = { ...echo, path: "/test.Test/Stream", kind: "server-streaming" };
  const serve = async () =>
    ({
      kind: "stream",
      messages: (async function* () {
        for (; produced.count < 10_000; produced.count++) yield chunk;
      })(),
    }) as const;
  const methods = new Map([[streaming.path, { method: streaming, serve }]]);
  const { address } = await transport.listen({ address: "127.0.0.1:0", methods });
  const call = new Call({ clock, service: "", method: streaming.path });
  const response = await transport.invoke(address, streaming, call, new Uint8Array(0));
  if (response.kind !== "stream") throw new Error("no stream");
  const messages = response.messages[Symbol.asyncIterator]();
  await messages.next();
  await clock.sleep(300_000);
  // 100 MB are to come; only the windows of HTTP/2 and a few buffers fill.
  expect(produced.count).toBeLessThan(200);
  for (let read = 0; read < 500; read++) await messages.next();
  expect(produced.count).toBeGreaterThanOrEqual(500);
  await messages.return?.();
});

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** Sends it on a connection of its own, which the server must end; others don't notice. */
async function expectClosed(sent: string | Buffer): Promise<void> {
  const socket = await open();
  socket.write(sent);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the connection stayed open")), 3_000);
    const settle = (): void => {
      clearTimeout(timer);
      resolve();
    };
    socket.on("close", settle).on("end", settle).resume();
  });
  socket.destroy();
  await expectAlive();
}

async function expectAlive(): Promise<void> {
  const call = new Call({ clock, service: "", method: echo.path, timeoutUs: 3_000_000 });
  const response = await transport.invoke(listener.address, echo, call, Buffer.from("alive"));
  call.end();
  expect(response.kind === "unary" && Buffer.from(response.message as Uint8Array).toString()).toBe("alive");
}

function open(): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.on("error", () => undefined);
  });
}

function openSession(): Promise<ClientHttp2Session> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://${listener.address}`, {}, () => resolve(session));
  });
}

/** A call whose bytes are given. */
async function rawCall(
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<{ status: number; received: number }> {
  const session = await openSession();
  try {
    return await new Promise((resolve, reject) => {
      let status = -1;
      let received = 0;
      const hear = (heard: { readonly [name: string]: unknown }): void => {
        if (heard["grpc-status"] !== undefined) status = Number(heard["grpc-status"]);
      };
      session.on("error", reject);
      session
        .request({
          ":path": echo.path,
          ":method": "POST",
          "content-type": "application/grpc",
          te: "trailers",
          ...headers,
        })
        .on("response", hear)
        .on("trailers", hear)
        .on("data", (data: Buffer) => (received += data.length))
        .on("error", () => undefined)
        .on("close", () => resolve({ status, received }))
        .end(body);
    });
  } finally {
    session.destroy();
  }
}

function asBytes(message: unknown): Uint8Array {
  return message as Uint8Array;
}
