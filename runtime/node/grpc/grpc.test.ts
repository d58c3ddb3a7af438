import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { gzipSync } from "node:zlib";

import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata as GrpcMetadata,
  Server,
  ServerCredentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
} from "@grpc/grpc-js";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

import { metadata, noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError } from "../../call/status.ts";
import { systemClock } from "../clock.ts";
import { errorCodes } from "../http2/errors.ts";
import { troubleOf } from "../http2/fields.ts";
import { clientPreface, frame, frameFlags, frameTypes, u32 } from "../http2/frames.ts";
import { listBytes } from "../http2/hpack/encoder.ts";
import { Http2Session } from "../http2/session.ts";
import { settingIds } from "../http2/settings.ts";
import { block, clientOf, emptySettings, RawPeer, sessionEvents, settingsFrame } from "../http2/testing.ts";
import { GrpcClientCall, requestBlock } from "./client-call.ts";
import {
  cutEncoded,
  fromFields,
  parseTimeout,
  percentDecode,
  percentEncode,
  timeoutHeader,
  toFields,
} from "./fields.ts";
import type { OutgoingMessage } from "./messages.ts";
import { GrpcServerCall, readRequest, type ServerCallOptions } from "./server-call.ts";
import { errorOf, statusFields } from "./status.ts";

const clock = systemClock();
const messageBytesMax = 4 * 1024 * 1024;
const owned: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of owned.splice(0).reverse()) await close();
});

type Handler = (call: GrpcServerCall) => void;

/** A server whose handlers get calls as they are on the wire. */
async function serve(
  handlers: Readonly<Record<string, Handler>>,
  limits: Omit<ServerCallOptions, "held"> = { messageBytesMax },
): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    const held = { bytes: 0 };
    void new Http2Session(
      socket,
      false,
      { clock },
      sessionEvents({
        onStream: (stream, fields, isEnd) => {
          const request = readRequest(stream, fields);
          if (request === undefined) return;
          const call = new GrpcServerCall(stream, request, isEnd, { ...limits, held });
          call.events = serverEvents({});
          const handler = handlers[request.path];
          if (handler === undefined) call.fail(new RpcError("not here", { code: "UNIMPLEMENTED" }));
          else handler(call);
        },
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owned.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const nothing = (): void => undefined;
const serverEvents = (events: Partial<GrpcServerCall["events"]>): GrpcServerCall["events"] => ({
  ...{ onMessage: nothing, onEnd: nothing, onCancel: nothing, onDrain: nothing },
  ...events,
});

/** The first letter of each message, counted, and their sum at the end: a client's stream. */
const collect: Handler = (call) => {
  const seen: string[] = [];
  call.events = serverEvents({
    onMessage: (bytes) => {
      seen.push(`${bytes.length}${bytes.toString("latin1", 0, 1)}`);
      call.read();
    },
    onEnd: () => {
      call.send(Buffer.from(seen.join()));
      call.end(metadata({ "x-count": String(seen.length) }));
    },
  });
  call.read();
};

/** Each message comes back, at the pace at which the caller reads. */
const echo: Handler = (call) => {
  call.events = serverEvents({
    onMessage: (bytes) => {
      // What is lent can't wait for room.
      call.send(Buffer.from(bytes));
      if (call.isWritable) call.read();
    },
    onDrain: () => call.read(),
    onEnd: () => call.end(),
  });
  call.begin();
  call.read();
};

async function session(address: string): Promise<Http2Session> {
  const [host, port] = address.split(":");
  const socket = connect({ host: host!, port: Number(port), noDelay: true });
  owned.push(() => socket.destroy());
  return new Promise((resolve) => {
    const made: Http2Session = new Http2Session(
      socket,
      true,
      { clock },
      sessionEvents({ onReady: () => resolve(made) }),
    );
  });
}

interface Outcome {
  readonly headers: Metadata | undefined;
  readonly messages: string[];
  readonly error: RpcError | undefined;
  readonly trailers: Metadata;
}

/** One of our calls, its messages sent as fast as there is room for them and read one after the other. */
async function ours(
  address: string,
  path: string,
  sent: readonly OutgoingMessage[],
  { list = [], isGzip = false }: { list?: readonly string[]; isGzip?: boolean } = {},
): Promise<Outcome> {
  const on = await session(address);
  const block = requestBlock({ path, authority: address, isSecure: false, subtype: undefined });
  const messages: string[] = [];
  let headers: Metadata | undefined;
  return new Promise((resolve) => {
    let next = 0;
    const write = (): void => {
      while (next < sent.length && call.isWritable) call.send(sent[next++]!);
      if (next === sent.length) call.end();
    };
    const call = GrpcClientCall.begin(
      on,
      { block, list },
      { messageBytesMax, held: { bytes: 0 }, peer: address, isGzip },
      {
        onHeaders: (metadata) => (headers = metadata),
        onMessage: (bytes) => {
          messages.push(bytes.toString("latin1"));
          call.read();
        },
        onEnd: (error, trailers) => resolve({ headers, messages, error, trailers }),
        onDrain: () => next < sent.length && write(),
      },
    );
    call.read();
    write();
  });
}

/** The same of @grpc/grpc-js. */
function theirs(address: string, path: string, sent: readonly Uint8Array[], options: object = {}): Promise<Outcome> {
  const client = new Client(address, credentials.createInsecure(), options);
  owned.push(() => client.close());
  const asItIs = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest(path, asItIs, asItIs, new GrpcMetadata());
  const messages: string[] = [];
  const mapOf = (metadata: GrpcMetadata): Metadata =>
    new Map(Object.entries(metadata.getMap()).map(([k, v]) => [k, String(v)]));
  let headers: Metadata | undefined;
  return new Promise((resolve) => {
    stream.on("metadata", (metadata) => (headers = mapOf(metadata)));
    stream.on("data", (bytes: Buffer) => messages.push(bytes.toString("latin1")));
    stream.on("error", () => undefined);
    stream.on("status", ({ code, details, metadata: trailers }) => {
      const error = Number(code) === 0 ? undefined : new RpcError(details, { code: "UNKNOWN" });
      resolve({ headers, messages, error, trailers: mapOf(trailers) });
    });
    for (const message of sent) stream.write(Buffer.from(message));
    stream.end();
  });
}

/** A server of @grpc/grpc-js's with the same two methods. */
async function theirServer(options: object = {}): Promise<string> {
  const server = new Server(options);
  const asItIs = (bytes: Buffer): Buffer => bytes;
  const collecting: handleClientStreamingCall<Buffer, Buffer> = (call, answer) => {
    const seen: string[] = [];
    call.on("data", (bytes: Buffer) => seen.push(`${bytes.length}${bytes.toString("latin1", 0, 1)}`));
    call.on("end", () => {
      const trailers = new GrpcMetadata();
      trailers.set("x-count", String(seen.length));
      answer(null, Buffer.from(seen.join()), trailers);
    });
  };
  const echoing: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on("data", (bytes: Buffer) => call.write(bytes));
    call.on("end", () => call.end());
  };
  server.register("/t.T/Collect", collecting, asItIs, asItIs, "clientStream");
  server.register("/t.T/Echo", echoing, asItIs, asItIs, "bidi");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  owned.push(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

/** What writes these bytes, and may take more. */
const writerOf = (message: Uint8Array, bytesMax = 3 * message.length): OutgoingMessage => ({
  bytesMax,
  write: (bytes, from) => {
    bytes.set(message, from);
    return from + message.length;
  },
});

const sizes = [0, 1, 5, 100, 16_379, 16_384, 70_000, 300_000, 1_000_000];
const sent = sizes.map((size, index) => Buffer.alloc(size, "abcdefghi"[index]));

describe("streams of messages of all sizes, ours and @grpc/grpc-js's, both ways", () => {
  test.each(["/t.T/Collect", "/t.T/Echo"])("%s", async (path) => {
    const addresses = [await serve({ "/t.T/Collect": collect, "/t.T/Echo": echo }), await theirServer()];
    const outcomes: Outcome[] = [];
    for (const address of addresses) {
      outcomes.push(await ours(address, path, sent), await theirs(address, path, sent));
      // The same, written where they go from.
      outcomes.push(
        await ours(
          address,
          path,
          sent.map((message) => writerOf(message)),
        ),
      );
    }
    const expected =
      path === "/t.T/Echo"
        ? sent.map((bytes) => bytes.toString("latin1"))
        : [sent.map((bytes) => `${bytes.length}${bytes.toString("latin1", 0, 1)}`).join()];
    for (const { messages, error, trailers } of outcomes) {
      expect(error).toBeUndefined();
      expect(messages.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
      expect(messages).toEqual(expected);
      if (path === "/t.T/Collect") expect(trailers.get("x-count")).toBe(String(sizes.length));
    }
  });

  test("gzip: what they compress is read, and what we compress they read", async () => {
    const address = await serve({ "/t.T/Echo": echo });
    const gzip = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };
    const text = [Buffer.from("a".repeat(10_000)), Buffer.from("b")];
    const expected = text.map((bytes) => bytes.toString());
    expect((await theirs(address, "/t.T/Echo", text, gzip)).messages).toEqual(expected);
    const answered = await ours(await theirServer(), "/t.T/Echo", text, {
      list: ["grpc-encoding", "gzip"],
      isGzip: true,
    });
    expect(answered).toMatchObject({ messages: expected, error: undefined });
  });
});

test("what a server says before its messages reaches ours and theirs, apart from what it says after them", async () => {
  const both: Handler = (call) => {
    call.begin(metadata({ "x-a": "before" }));
    call.begin(metadata({ "x-a": "too late" }));
    call.end(metadata({ "x-b": "after" }));
  };
  const address = await serve({ "/t.T/Both": both });
  for (const { headers, trailers } of [await ours(address, "/t.T/Both", []), await theirs(address, "/t.T/Both", [])]) {
    expect([headers?.get("x-a"), headers?.get("x-b")]).toEqual(["before", undefined]);
    expect([trailers.get("x-a"), trailers.get("x-b")]).toEqual([undefined, "after"]);
  }
});

test("a message counts as what it takes, not as what it might have taken; one that is too large is refused before anything is said", async () => {
  const answer =
    (message: OutgoingMessage): Handler =>
    (call) => {
      try {
        call.send(message);
        call.end();
      } catch (error) {
        call.fail(error as RpcError);
      }
    };
  const [fits, doesNot] = [Buffer.alloc(1000, "a"), Buffer.alloc(1001, "a")];
  const address = await serve(
    { "/t.T/Fits": answer(writerOf(fits)), "/t.T/DoesNot": answer(writerOf(doesNot)) },
    { messageBytesMax, sendBytesMax: 1000 },
  );
  expect(await ours(address, "/t.T/Fits", [])).toMatchObject({ messages: [fits.toString()], error: undefined });
  const { headers, error } = await ours(address, "/t.T/DoesNot", []);
  expect([headers, error?.code]).toEqual([undefined, "RESOURCE_EXHAUSTED"]);
});

test("a request that says what the one before said is read once, and one that says something else for itself", async () => {
  const seen: GrpcServerCall["request"][] = [];
  const address = await serve({
    "/t.T/Say": (call) => {
      seen.push(call.request);
      call.end();
    },
  });
  const on = await session(address);
  const block = requestBlock({ path: "/t.T/Say", authority: address, isSecure: false, subtype: undefined });
  const list = (tag: string): string[] => ["x-tag", tag, "grpc-timeout", "5S"];
  // A connection's first section says besides that there is no table.
  const tags = ["a", "a", "a", "b"];
  for (const tag of tags) {
    await new Promise<void>((resolve) => {
      const events = { onHeaders: nothing, onMessage: nothing, onEnd: () => resolve(), onDrain: nothing };
      const options = { messageBytesMax, held: { bytes: 0 }, peer: address };
      const call = GrpcClientCall.begin(on, { block, list: list(tag) }, options, events);
      call.read();
      call.end();
    });
  }
  expect(seen.map(({ metadata, timeoutUs }) => [metadata.get("x-tag"), timeoutUs])).toEqual(
    tags.map((tag) => [tag, 5_000_000]),
  );
  expect(seen[2]).toBe(seen[1]);
  expect(seen[3]).not.toBe(seen[2]);
});

test("a message may be sent that is larger than those that are taken, where its sender says so", async () => {
  const large: Handler = (call) => {
    call.events = serverEvents({ onMessage: () => (call.send(Buffer.alloc(20)), call.end()) });
    call.read();
  };
  const address = await serve({ "/t.T/Large": large }, { messageBytesMax: 10, sendBytesMax: 20 });
  expect(await ours(address, "/t.T/Large", [Buffer.alloc(10)])).toMatchObject({ messages: ["\0".repeat(20)] });
  expect((await ours(address, "/t.T/Large", [Buffer.alloc(11)])).error?.code).toBe("RESOURCE_EXHAUSTED");
});

test("a caller that doesn't read holds back a server that heeds it, and a server that doesn't read its caller", async () => {
  let produced = 0;
  const address = await serve({
    "/t.T/Flood": (call) => {
      const more = (): void => {
        while (call.isWritable && !call.isOver) call.send(Buffer.alloc(10_000, ++produced & 0xff));
      };
      call.events = serverEvents({ onDrain: more });
      more();
    },
    "/t.T/Deaf": () => undefined,
  });
  const on = await session(address);
  const begin = (path: string, onMessage: () => void = nothing, onDrain: () => void = nothing): GrpcClientCall =>
    GrpcClientCall.begin(
      on,
      { block: requestBlock({ path, authority: "", isSecure: false, subtype: undefined }), list: [] },
      { messageBytesMax, held: { bytes: 0 }, peer: address },
      { onHeaders: nothing, onMessage, onEnd: nothing, onDrain },
    );
  let read = 0;
  const flood = begin("/t.T/Flood", () => {
    if (++read % 100 > 0) flood.read();
  });
  let written = 0;
  const more = (): void => {
    while (deaf.isWritable) {
      deaf.send(Buffer.alloc(10_000));
      written++;
    }
  };
  const deaf = begin("/t.T/Deaf", nothing, () => more());
  more();
  await clock.sleep(150_000);
  // A window of 256 KiB, and what waits before it.
  expect(produced).toBeLessThan(60);
  expect(written).toBeLessThan(60);
  flood.read();
  await expect.poll(() => read).toBe(100);
  expect(produced).toBeLessThan(160);
  flood.cancel();
  deaf.cancel();
});

test.each([
  ["at once", 65_535],
  ["when what it has said has gone", 0],
])("a caller that still streams when its server has ended hears that nobody wants it: %s", async (_, window) => {
  const address = await serve({
    "/t.T/Brief": (call) => {
      call.send(Buffer.alloc(20));
      call.end();
    },
  });
  const socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]), noDelay: true });
  owned.push(() => socket.destroy());
  const peer = new RawPeer(socket);
  const { bytes } = requestBlock({ path: "/t.T/Brief", authority: "", isSecure: false, subtype: undefined });
  peer.send(clientPreface, settingsFrame([settingIds.initialWindowSize, window]));
  peer.send(frame(frameTypes.headers, frameFlags.endHeaders, 1, bytes));
  await peer.settled();
  if (window === 0) {
    expect(peer.seen.filter(({ type, streamId }) => streamId === 1 && type !== frameTypes.headers)).toEqual([]);
    peer.send(frame(frameTypes.windowUpdate, 0, 1, u32(1000)));
  }
  // RFC 9113 section 8.1.
  expect(await peer.reset(1)).toBe(errorCodes.noError);
  const said = peer.seen.filter(({ streamId }) => streamId === 1).map(({ type }) => type);
  expect(peer.data(1)).toHaveLength(25);
  expect(said.slice(-2)).toEqual([frameTypes.headers, frameTypes.rstStream]);
});

test.each([
  ["application/grpc", undefined],
  ["application/grpc+proto", undefined],
  ["application/grpc;charset=utf-8", undefined],
  ["application/grpc-web", "UNKNOWN"],
  ["application/grpcfoo", "UNKNOWN"],
  ["text/html", "UNKNOWN"],
])("a reply of %s", async (type, code) => {
  const { session: on, peer, close } = await clientOf();
  owned.push(close);
  peer.send(emptySettings);
  await expect.poll(() => on.isReady).toBe(true);
  const ended = new Promise<RpcError | undefined>((resolve) => {
    const fields = {
      block: requestBlock({ path: "/t.T/Any", authority: "", isSecure: false, subtype: undefined }),
      list: [],
    };
    const events = { onHeaders: nothing, onMessage: nothing, onEnd: resolve, onDrain: nothing };
    GrpcClientCall.begin(on, fields, { messageBytesMax, held: { bytes: 0 }, peer: "" }, events).read();
  });
  peer.send(
    frame(frameTypes.headers, frameFlags.endHeaders, 1, block(":status", "200", "content-type", type)),
    frame(frameTypes.headers, frameFlags.endHeaders | frameFlags.endStream, 1, block("grpc-status", "0")),
  );
  expect((await ended)?.code).toBe(code);
});

test.each([
  ["a message", "好".repeat(3000), {}, undefined],
  ["a message of characters outside of the basic plane", "😀".repeat(3000), {}, undefined],
  ["a message beside metadata", "好".repeat(3000), { "x-a": "v".repeat(4000) }, "v".repeat(4000)],
  ["metadata, which it does without", "好", { "x-a": "v".repeat(9000) }, undefined],
  ["the longest of its metadata, which it does without", "好", { "x-b": "v".repeat(9000), "x-a": "v" }, "v"],
])("a caller that takes 8 KiB of fields gets no more: %s", async (_, message, trailers, kept) => {
  const fail: Handler = (call) => call.fail(new RpcError(message, { code: "ABORTED", trailers: metadata(trailers) }));
  const failLater: Handler = (call) => (call.begin(), fail(call));
  const address = await serve({ "/t.T/Fail": fail, "/t.T/FailLater": failLater });
  const socket = connect({ host: "127.0.0.1", port: Number(address.split(":")[1]), noDelay: true });
  owned.push(() => socket.destroy());
  const peer = new RawPeer(socket);
  peer.send(clientPreface, settingsFrame([settingIds.maxHeaderListSize, 8192]));
  ["/t.T/Fail", "/t.T/FailLater"].forEach((path, at) => {
    const { bytes } = requestBlock({ path, authority: "", isSecure: false, subtype: undefined });
    peer.send(frame(frameTypes.headers, frameFlags.endHeaders | frameFlags.endStream, 2 * at + 1, bytes));
  });
  await peer.settled();
  for (const id of [1, 3]) {
    const list = peer.fields(id).at(-1)!;
    expect(listBytes(list)).toBeLessThanOrEqual(8192);
    if (message !== "好") expect(listBytes(list)).toBeGreaterThan(8192 - 16);
    const error = errorOf(list, "200", true)!;
    expect([error.code, error.trailers.get("x-a")]).toEqual(["ABORTED", kept]);
    expect(error.message).not.toBe("");
    expect(message.startsWith(error.message)).toBe(true);
  }
});

test("an order of magnitude more than the window comes through, with one slow reader beside it", async () => {
  const address = await serve({ "/t.T/Echo": echo, "/t.T/Collect": collect });
  const many = Array.from({ length: 60 }, (_, index) => Buffer.alloc(50_000, index));
  const [one, other] = await Promise.all([ours(address, "/t.T/Echo", many), ours(address, "/t.T/Collect", many)]);
  expect(one.messages.map(({ length }) => length)).toEqual(many.map(({ length }) => length));
  expect(other.trailers.get("x-count")).toBe("60");
});

test("thousands of small messages that nobody reads at first cost each of them once", async () => {
  const address = await serve({
    "/t.T/Late": (call) => {
      let count = 0;
      call.events = serverEvents({
        onMessage: () => {
          count++;
          call.read();
        },
        onEnd: () => {
          call.send(Buffer.from(String(count)));
          call.end();
        },
      });
      clock.after(50_000, () => call.read());
    },
  });
  const small = Array.from({ length: 5_000 }, () => Buffer.alloc(20));
  expect((await ours(address, "/t.T/Late", small)).messages).toEqual(["5000"]);
});

describe("what is no sequence of messages ends the call, by the server's word", () => {
  const prefixed = (flag: number, length: number, body: Uint8Array): Buffer => {
    const prefix = Buffer.alloc(5);
    prefix[0] = flag;
    prefix.writeUInt32BE(length, 1);
    return Buffer.concat([prefix, body]);
  };
  test.each<[string, Buffer, readonly string[], string]>([
    ["a flag that means nothing", prefixed(2, 1, Buffer.from("x")), [], "INTERNAL"],
    ["compression without an encoding", prefixed(1, 1, Buffer.from("x")), [], "INTERNAL"],
    ["what isn't gzip", prefixed(1, 1, Buffer.from("x")), ["grpc-encoding", "gzip"], "INTERNAL"],
    ["a length of 4 GiB", prefixed(0, 0xffffffff, Buffer.from("x")), [], "RESOURCE_EXHAUSTED"],
    ["half a message", prefixed(0, 9, Buffer.from("x")), [], "INTERNAL"],
    ["half a prefix", Buffer.from([0, 0]), [], "INTERNAL"],
    ["a bomb", ...bomb(), "RESOURCE_EXHAUSTED"],
    ["an encoding that nobody speaks", prefixed(0, 0, Buffer.alloc(0)), ["grpc-encoding", "br"], "UNIMPLEMENTED"],
  ])("%s", async (_, body, list, code) => {
    const { tripleTransport } = await import("../triple.ts");
    const transport = tripleTransport({ clock });
    owned.push(() => transport.close());
    const text = { create: (m: unknown) => m, encode: () => body, decode: String, copy: (m: unknown) => m };
    const method = { path: "/t.T/Any", kind: "unary", codecName: "t", input: text, output: text } as const;
    const serveIt = async () => ({ kind: "unary", message: "", trailers: noMetadata }) as const;
    const { address } = await transport.listen({
      address: "127.0.0.1:0",
      methods: new Map([[method.path, { method, serve: serveIt }]]),
    });
    const on = await session(address);
    const error = await new Promise<RpcError | undefined>((resolve) => {
      const stream = on.open(
        { block: requestBlock({ path: method.path, authority: "", isSecure: false, subtype: undefined }), list },
        {
          onFields: ({ list: heard }, isEnd) => {
            const at = heard.indexOf("grpc-status");
            if (isEnd) resolve(new RpcError("", { code: statusOf(heard[at + 1]) }));
          },
          ...{ onData: nothing, onReset: () => resolve(undefined), onDrain: nothing },
        },
      );
      stream!.data(body, true);
    });
    expect(error?.code).toBe(code);
  });

  function bomb(): [Buffer, readonly string[]] {
    const body = gzipSync(Buffer.alloc(50_000_000));
    return [prefixed(1, body.length, body), ["grpc-encoding", "gzip"]];
  }
});

const statusOf = (wire: string | undefined) =>
  (({ "8": "RESOURCE_EXHAUSTED", "12": "UNIMPLEMENTED", "13": "INTERNAL" }) as const)[wire as "8"] ?? "UNKNOWN";

describe("fields", () => {
  test("a timeout is at most 8 digits, never grows, and comes back as it went", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), (us) => {
        const header = timeoutHeader(us);
        expect(header).toMatch(/^\d{1,8}[umS]$/);
        const back = parseTimeout(header)!;
        expect(back).toBeLessThanOrEqual(us);
        if (us < 1e5) expect(back).toBe(Math.floor(us));
        else if (us < 1e11) expect(back).toBe(Math.floor(us / 1000) * 1000);
      }),
    );
    expect(["1H", "2M", "3S", "4m", "5u", "6000n"].map(parseTimeout)).toEqual([3.6e9, 1.2e8, 3e6, 4000, 5, 6]);
    expect(["", "1", "S", "-1S", "123456789S", "1s", "1.5S"].map(parseTimeout)).toEqual(Array(7).fill(undefined));
  });

  test("any message comes back from its percent-encoding, which is printable and has no spaces at its edges", () => {
    const withSpaces = fc.string({ unit: fc.constantFrom(" ", "%", "好", "a") });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "grapheme" }), withSpaces), (text) => {
        const encoded = percentEncode(text.toWellFormed());
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(encoded).not.toMatch(/^[ \t]|[ \t]$/);
        expect(percentDecode(encoded)).toBe(text.toWellFormed());
      }),
    );
    expect(percentEncode("50 % 好")).toBe("50 %25 %E5%A5%BD");
    expect(percentDecode("100 %, %zz, %4")).toBe("100 %, %zz, %4");
    expect(percentDecode(Buffer.from("没有 %E2%98%BA").toString("latin1"))).toBe("没有 ☺");
  });

  test("a status is well-formed, however long its message is and wherever it is cut", () => {
    for (const spaces of [0, 1, 2, 3, 4]) {
      const text = `${"好".repeat(1365)}${"a".repeat(spaces)}${" ".repeat(3000)}`;
      for (const message of [text, ` ${text}`, " "]) {
        const fields = { list: statusFields(new RpcError(message, { code: "ABORTED" })), isTooLarge: false };
        expect(troubleOf(fields, "trailers")).toBeUndefined();
      }
    }
  });

  test("an encoded message is cut between characters, as late as possible", () => {
    const unit = fc.constantFrom(" ", "%", "a", "é", "好", "😀");
    fc.assert(
      fc.property(fc.string({ unit }), fc.nat(60), (text, max) => {
        const cut = cutEncoded(percentEncode(text), max);
        expect(cut.length).toBeLessThanOrEqual(max);
        expect(cut).not.toMatch(/ $/);
        expect(text.startsWith(percentDecode(cut))).toBe(true);
        const more = [...text.slice(percentDecode(cut).length).trimStart()].slice(0, 1).join("");
        const spaces = /^ */.exec(text.slice(percentDecode(cut).length))![0].length;
        if (more !== "") expect(cut.length + 3 * spaces + percentEncode(more).length).toBeGreaterThan(max);
      }),
    );
  });

  test("binary metadata goes without padding, each value by itself, and comes back with it", () => {
    const given = metadata({ "x-raw-bin": "AAE=,/w==", "x-key": "a, b" });
    const list = toFields(given);
    expect(list).toEqual(["x-raw-bin", "AAE", "x-raw-bin", "/w", "x-key", "a, b"]);
    expect(fromFields(list)).toEqual(given);
    expect(fromFields(["x-raw-bin", "AAE=,/w"])).toEqual(metadata({ "x-raw-bin": "AAE=,/w==" }));
    expect(fromFields(["x-a", "1", "x-a", "2"])).toEqual(metadata({ "x-a": "1,2" }));
    // RFC 9113 section 8.2.3.
    expect(fromFields(["cookie", "a=b", "x-a", "1", "cookie", "c=d"])).toEqual(
      metadata({ cookie: "a=b; c=d", "x-a": "1" }),
    );
  });

  test("a transport's own headers neither go nor come, and a status's details do", () => {
    const own = { "grpc-timeout": "1n", "content-type": "x", te: "y", "user-agent": "z" };
    expect(toFields(metadata({ ...own, "grpc-status-details-bin": "CAM=" }))).toEqual([
      "grpc-status-details-bin",
      "CAM",
    ]);
    expect(fromFields([":status", "200", "grpc-status", "0", "x-a", "1"])).toEqual(metadata({ "x-a": "1" }));
  });

  test("what belongs to a connection of HTTP/1.1 doesn't go: it would make the message malformed (RFC 9113 section 8.2.2)", () => {
    const own = ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"];
    expect(toFields(metadata({ ...Object.fromEntries(own.map((name) => [name, "x"])), "x-a": "1" }))).toEqual([
      "x-a",
      "1",
    ]);
  });
});
