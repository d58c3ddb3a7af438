import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Call } from "../../call/call.ts";
import { noMetadata } from "../../call/metadata.ts";
import type { Method } from "../../call/service.ts";
import type { RpcError } from "../../call/status.ts";
import type { Listener, ServedMethod, Transport } from "../../ports/transport.ts";
import { systemClock } from "../clock.ts";
import { framedTransport } from "../framed.ts";
import { decodeText, encodeCredit, encodeEnd, encodeHello, encodeRequest, frameTypes, FrameSplitter } from "./wire.ts";

const clock = systemClock();
const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => Buffer.from(String(message)),
  decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  copy: (message: unknown) => message,
};
const echo: Method<unknown, unknown> = {
  path: "/t.T/Echo",
  kind: "unary",
  codecName: "text",
  input: text,
  output: text,
};
const count: Method<unknown, unknown> = { ...echo, path: "/t.T/Count", kind: "server-streaming" };
/** Its handlers don't hear that nobody wants them any more. */
const deaf: Method<unknown, unknown> = { ...echo, path: "/t.T/Deaf" };
let atWork = 0;
const messageBytesMax = 64 * 1024;

let transport: Transport;
let listener: Listener;
const sockets: Socket[] = [];
const servers: Server[] = [];
let sent = 0;

beforeEach(async () => {
  transport = framedTransport({ clock, messageBytesMax });
  sent = 0;
  atWork = 0;
  listener = await transport.listen({
    address: "127.0.0.1:0",
    methods: new Map<string, ServedMethod>([
      [echo.path, { method: echo, serve: async (_, message) => ({ kind: "unary", message, trailers: noMetadata }) }],
      [
        deaf.path,
        {
          method: deaf,
          serve: () => {
            atWork++;
            return new Promise<never>(() => undefined);
          },
        },
      ],
      [
        count.path,
        {
          method: count,
          serve: async () => ({
            kind: "stream",
            messages: (async function* () {
              for (;;) yield String(sent++);
            })(),
          }),
        },
      ],
    ]),
  });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  await transport.close();
});

/** Length, type, stream, payload. */
function frame(type: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUInt32BE(5 + payload.length, 0);
  head[4] = type;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const hello = frame(frameTypes.hello, 0, encodeHello({ version: 1, frameBytesMax: 1 << 20 }));
const request = (stream: number, path = echo.path): Buffer =>
  frame(
    frameTypes.request,
    stream,
    encodeRequest({ path, codec: "text", timeoutUs: undefined, metadata: noMetadata, message: Buffer.from("hi") }),
  );

/** What the server says to these bytes until it closes: each frame's type, and the reason that it gives. */
function raw(...chunks: Uint8Array[]): Promise<{ types: number[]; reason: string | undefined }> {
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host);
  sockets.push(socket);
  const splitter = new FrameSplitter(1 << 20);
  const types: number[] = [];
  let reason: string | undefined;
  socket.on("data", (chunk: Buffer) => {
    for (const { type, payload } of splitter.push(chunk)) {
      types.push(type);
      if (type === frameTypes.goaway) reason = decodeText(payload);
    }
  });
  socket.on("error", () => undefined);
  for (const chunk of chunks) socket.write(chunk);
  return new Promise((resolve) => socket.once("close", () => resolve({ types, reason })));
}

async function call(message = "hi", method = echo, address = listener.address): Promise<unknown> {
  const one = new Call({ clock, service: "t", method: method.path, timeoutUs: 3_000_000 });
  try {
    const response = await transport.invoke(address, method, one, message);
    return response.kind === "unary" ? response.message : response.messages;
  } catch (error) {
    return (error as RpcError).code;
  } finally {
    if (method.kind === "unary") one.end();
  }
}

test("handlers of calls that were cancelled are at work still, and one connection has 2,000 of them at most", async () => {
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host);
  sockets.push(socket);
  const refused: number[] = [];
  const splitter = new FrameSplitter(1 << 20);
  socket.on("data", (chunk: Buffer) => {
    for (const { type, stream } of splitter.push(chunk)) if (type === frameTypes.end) refused.push(stream);
  });
  socket.write(hello);
  for (let id = 1; id <= 2_100; id++)
    socket.write(Buffer.concat([request(id, deaf.path), frame(frameTypes.cancel, id)]));
  await expect.poll(() => refused.length).toBe(100);
  expect(atWork).toBe(2_000);
  expect(await call()).toBe("hi");
});

const head = (length: number): Buffer => {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(length);
  return bytes;
};
const u32 = (value: number): Buffer => encodeCredit(value);

test.each<[string, Uint8Array[], RegExp]>([
  [
    "a flood of pings",
    [hello, Buffer.concat(Array(30_000).fill(frame(frameTypes.ping, 0, Buffer.alloc(8))))],
    /nothing/,
  ],
  [
    "a flood of cancels",
    [hello, request(1), Buffer.concat(Array(30_000).fill(frame(frameTypes.cancel, 1)))],
    /bring nothing/,
  ],
  ["a frame that claims 4 GiB", [hello, head(0xffffffff)], /4294967295 bytes/],
  ["a frame that claims less than its head", [hello, head(0)], /frame of 0 bytes/],
  ["another protocol", [Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n")], /frame of \d+ bytes/],
  ["no hello", [request(1)], /isn't a hello/],
  ["a hello of somebody else", [frame(frameTypes.hello, 0, Buffer.from("HTTP/1.1 ok"))], /doesn't speak/],
  [
    "a version from before the first",
    [frame(frameTypes.hello, 0, encodeHello({ version: 0, frameBytesMax: 1000 }))],
    /version 0/,
  ],
  [
    "a text that promises more than its frame",
    [hello, frame(frameTypes.request, 1, Buffer.concat([u32(0), u32(1), u32(0xffffffff)]))],
    /middle of a value/,
  ],
  [
    "a text that is no UTF-8",
    [hello, frame(frameTypes.request, 1, Buffer.concat([u32(0), u32(1), u32(1), Buffer.from([0xff])]))],
    /no UTF-8/,
  ],
  [
    "metadata by the billion",
    [hello, frame(frameTypes.request, 1, Buffer.concat([u32(0), u32(1), u32(0), u32(0), u32(0xffffffff)]))],
    /don't fit/,
  ],
  ["numbers that don't grow", [hello, request(2), request(2)], /only grow/],
  ["credit for a call that was never made", [hello, frame(frameTypes.credit, 7, u32(1))], /never made/],
  ["a credit of nothing", [hello, request(1, count.path), frame(frameTypes.credit, 1, u32(0))], /credit of nothing/],
  ["a frame that only servers send", [hello, request(1), frame(frameTypes.end, 1)], /from a client/],
  ["a type that doesn't exist", [hello, request(1), frame(99, 1)], /type 99/],
  ["a ping of no length", [hello, frame(frameTypes.ping, 0)], /8 bytes/],
])("%s ends its connection with the reason, and nothing else", async (_, chunks, says) => {
  expect((await raw(...chunks)).reason).toMatch(says);
  expect(await call()).toBe("hi");
});

test("an unread stream makes no more messages than it has credit for", async () => {
  await call("", count);
  await clock.sleep(50_000);
  expect(sent).toBeLessThanOrEqual(17);
});

test("a message that is too large ends its own call only", async () => {
  expect(await call("x".repeat(messageBytesMax + 300 * 1024))).toBe("RESOURCE_EXHAUSTED");
  expect(await call()).toBe("hi");
});

test("one byte at a time is slow, and works", async () => {
  const splitter = new FrameSplitter(1 << 20);
  const whole = Buffer.concat([hello, request(1), request(2)]);
  const seen = Array.from(whole).flatMap((byte) => [...splitter.push(Buffer.from([byte]))].map(({ type }) => type));
  expect(seen).toEqual([frameTypes.hello, frameTypes.request, frameTypes.request]);
});

test("however the bytes are cut, the frames are the same", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 })),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (payloads, cuts) => {
        const whole = Buffer.concat(payloads.map((payload, index) => frame(index % 11, index, payload)));
        const splitter = new FrameSplitter(1000);
        const seen: Buffer[] = [];
        for (let at = 0, cut = 0; at < whole.length; cut++) {
          const end = at + cuts[cut % cuts.length]!;
          for (const { payload } of splitter.push(whole.subarray(at, end))) seen.push(Buffer.from(payload));
          at = end;
        }
        expect(seen).toEqual(payloads.map((payload) => Buffer.from(payload)));
        expect(splitter.partialBytes).toBe(0);
      },
    ),
  );
});

test("whatever comes after a hello, the node lives", async () => {
  const frames = fc.tuple(
    fc.integer({ min: 0, max: 12 }),
    fc.integer({ min: 0, max: 3 }),
    fc.uint8Array({ maxLength: 60 }),
  );
  const inputs = fc.array(
    fc.oneof(
      frames.map(([type, stream, payload]) => frame(type, stream, payload)),
      fc.uint8Array({ maxLength: 40 }),
    ),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(inputs, async (chunks) => {
      const [host, port] = listener.address.split(":");
      const socket = connect(Number(port), host).on("error", () => undefined);
      for (const chunk of [hello, ...chunks]) socket.write(chunk);
      await new Promise<void>((resolve) => socket.end(() => resolve()));
      socket.destroy();
    }),
    { numRuns: 100 },
  );
  expect(await call()).toBe("hi");
});

/** A server that says these bytes to every request. */
async function serverSaying(...answers: Uint8Array[]): Promise<string> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.write(hello);
    socket.on("data", () => answers.splice(0).forEach((answer) => socket.write(answer)));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each<[string, Uint8Array[], string]>([
  ["lies about a length", [head(0xffffffff)], "UNAVAILABLE"],
  [
    "answers a call that was never made",
    [frame(frameTypes.end, 9, encodeEnd({ error: undefined, trailers: noMetadata, message: Buffer.from("x") }))],
    "UNAVAILABLE",
  ],
  [
    "ends a call without a message",
    [frame(frameTypes.end, 1, encodeEnd({ error: undefined, trailers: noMetadata, message: undefined }))],
    "UNIMPLEMENTED",
  ],
  ["sends half a status", [frame(frameTypes.end, 1, Buffer.from([0, 0]))], "UNAVAILABLE"],
  ["sends what clients send", [frame(frameTypes.request, 1)], "UNAVAILABLE"],
  ["sends a message that nobody has credit for", [frame(frameTypes.message, 1, Buffer.from("x"))], "INTERNAL"],
])("a server that %s fails the call, not the client", async (_, answers, code) => {
  expect(await call("hi", echo, await serverSaying(...answers))).toBe(code);
  expect(await call()).toBe("hi");
});
