import { connect } from "node:net";

import { Server, ServerCredentials, status, type ServiceError } from "@grpc/grpc-js";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";

import { noMetadata } from "../../call/metadata.ts";
import type { Method } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";
import type { Transport } from "../../ports/transport.ts";
import { systemClock } from "../clock.ts";
import { frame, frameFlags, frameTypes, u32 } from "../http2/frames.ts";
import { beginning, block, RawPeer, settingsFrame } from "../http2/testing.ts";
import { tripleTransport } from "../triple.ts";

// The same bytes at two servers: ours, and @grpc/grpc-js on nghttp2. What a client is told by one, it must be told by the other, but
// where grpc-js is known to take what a specification says to refuse: there ours must refuse it.

const clock = systemClock();
const { data, headers, priority, rstStream, settings, pushPromise, ping, goaway, windowUpdate, continuation } =
  frameTypes;
const { endStream, endHeaders, padded } = frameFlags;

interface Said {
  readonly word: string;
}
const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => Buffer.from((message as Said).word),
  decode: (given: Uint8Array): unknown => ({ word: Buffer.from(given).toString() }),
  copy: (message: unknown) => message,
};
const say: Method<unknown, unknown> = {
  path: "/t.T/Say",
  kind: "unary",
  codecName: "proto",
  input: text,
  output: text,
};
const list: Method<unknown, unknown> = { ...say, path: "/t.T/List", kind: "server-streaming" };

const answer = (message: unknown): Said => {
  const { word } = message as Said;
  if (word === "no") throw new RpcError("not this one", { code: "FAILED_PRECONDITION" });
  return { word: `you said ${word}` };
};

let ours: Transport;
let theirs: Server;
const ports = { ours: 0, theirs: 0 };

beforeAll(async () => {
  ours = tripleTransport({ clock });
  const { address } = await ours.listen({
    address: "127.0.0.1:0",
    methods: new Map([
      [
        say.path,
        { method: say, serve: async (_, said) => ({ kind: "unary", message: answer(said), trailers: noMetadata }) },
      ],
      [
        list.path,
        {
          method: list,
          serve: async (_, said) => ({
            kind: "stream",
            messages: (async function* () {
              yield answer(said);
              yield { word: "and more" };
            })(),
          }),
        },
      ],
    ]),
  });
  ports.ours = Number(address.split(":")[1]);

  theirs = new Server();
  const refusal = { code: status.FAILED_PRECONDITION, details: "not this one" } as ServiceError;
  const asBuffer = (message: Said): Buffer => text.encode(message);
  const asSaid = (bytes: Buffer): Said => text.decode(bytes) as Said;
  theirs.register<Said, Said>(
    say.path,
    (call: { readonly request: Said }, callback: (error: ServiceError | null, value?: Said) => void) =>
      call.request.word === "no" ? callback(refusal) : callback(null, answer(call.request)),
    asBuffer,
    asSaid,
    "unary",
  );
  theirs.register<Said, Said>(
    list.path,
    (call: {
      readonly request: Said;
      write(message: Said): void;
      end(): void;
      emit(event: string, error: unknown): void;
    }) => {
      if (call.request.word === "no") return void call.emit("error", refusal);
      call.write(answer(call.request));
      call.write({ word: "and more" });
      call.end();
    },
    asBuffer,
    asSaid,
    "serverStream",
  );
  ports.theirs = await new Promise<number>((resolve, reject) => {
    theirs.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
});

afterAll(async () => {
  theirs.forceShutdown();
  await ours.close();
});

/** One stream. */
interface Asked {
  /** For whom reads a counterexample. */
  readonly what: string;
  readonly frames: readonly Buffer[];
  /** An answer is owed. */
  readonly isWhole: boolean;
  /** What ours may say where grpc-js says something else; see `Outcome`. */
  readonly strict: readonly string[];
}

/** `usual` in twelve of thirteen cases, else one of the others. */
function rarely<T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(usual), weight: 12 }, { arbitrary: fc.constantFrom(...others), weight: 1 });
}

/** What a client says of its request: right for the most part, each of it wrong now and then. */
const requestFields = fc
  .record({
    method: rarely("POST", "GET", "PUT"),
    scheme: rarely("http", "https"),
    path: fc.constantFrom(say.path, say.path, list.path, "/t.T/Nothing"),
    type: rarely(
      "application/grpc",
      "application/grpc+proto",
      "application/grpc;charset=utf-8",
      "text/plain",
      undefined,
    ),
    te: rarely("trailers", "gzip", undefined),
    timeout: rarely(undefined, "5S", "100H", "9x", "", "123456789S"),
    encoding: rarely(undefined, "identity", "snappy"),
    own: rarely(
      ["x-name", "value"],
      ["x-raw-bin", "AAE="],
      ["x-empty", ""],
      ["X-Upper", "a"],
      ["connection", "close"],
      ["x-lines", "a\nb"],
      [":late", "a"],
      [":path", "/t.T/Say"],
    ),
    lost: rarely(undefined, ":path", ":method", ":scheme"),
  })
  .map(({ method, scheme, path, type, te, timeout, encoding, own, lost }) => {
    const pairs: (readonly (string | undefined)[])[] = [
      [":method", method],
      [":scheme", scheme],
      [":path", path],
      [":authority", "here"],
      ["content-type", type],
      ["te", te],
      ["grpc-timeout", timeout],
      ["grpc-encoding", encoding],
      own,
    ];
    const fields = pairs.filter(([name, value]) => value !== undefined && name !== lost).flat() as string[];
    const strict: string[] = [];
    // gRPC over HTTP/2: a request is a POST.
    if (method !== "POST") strict.push("405");
    // At most eight digits; and we read it before we look for the method.
    if (timeout === "123456789S" || timeout === "9x" || timeout === "") strict.push("grpc 13");
    // As grpc-go has it: who can't read an encoding says so, whether this message needs it or not.
    if (encoding === "snappy") strict.push("grpc 12");
    // RFC 9113 section 8.2.1.
    if (own[0] === "x-lines") strict.push("reset 1");
    return { fields, strict };
  });

const message = (flag: number, payload: Buffer, said = payload.length): Buffer =>
  Buffer.concat([Buffer.from([flag]), u32(said), payload]);

/** The message of a request: right for the most part. */
const body = fc
  .tuple(
    fc.constantFrom("", "hello", "no", "ein längeres Wort", "x".repeat(20_000)),
    rarely("whole", "short", "long", "none", "two", "compressed"),
  )
  .map(([word, how]): { readonly bytes: Buffer; readonly strict: readonly string[] } => {
    const payload = Buffer.from(word);
    const whole = message(0, payload);
    // Half a message is INTERNAL, as in gRPC's core; so is a compressed one of which nobody said how.
    const strict = ["grpc 13"];
    if (how === "short") return { bytes: message(0, payload, payload.length + 3), strict };
    if (how === "long") return { bytes: Buffer.concat([whole, Buffer.from("??")]), strict };
    if (how === "compressed") return { bytes: message(1, payload), strict };
    if (how === "none") return { bytes: Buffer.alloc(0), strict: [] };
    if (how === "two") return { bytes: Buffer.concat([whole, whole]), strict: [] };
    return { bytes: whole, strict: [] };
  });

const asked = (id: number): fc.Arbitrary<Asked> =>
  fc
    .record({
      request: requestFields,
      said: body,
      blockPieces: fc.array(fc.nat(40), { maxLength: 3 }),
      bodyPieces: fc.array(fc.nat(30), { maxLength: 4 }),
      padding: fc.option(fc.nat(20)),
      end: fc.constantFrom("with the last", "alone", "trailers", "never", "reset"),
    })
    .map(({ request: { fields, strict }, said, blockPieces, bodyPieces, padding, end }) => {
      const pad = (payload: Buffer): Buffer =>
        padding === null ? payload : Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]);
      const padFlag = padding === null ? 0 : padded;
      const blocks = cut(block(...fields), blockPieces);
      const frames = blocks.map((piece, at) => {
        const flags = at === blocks.length - 1 ? endHeaders : 0;
        return at === 0 ? frame(headers, flags | padFlag, id, pad(piece)) : frame(continuation, flags, id, piece);
      });
      // No frame may be longer than 16,384.
      const parts = cut(said.bytes, bodyPieces).flatMap((part) => cut(part, part.length > 16_000 ? [16_000] : []));
      parts.forEach((part, at) => {
        const isEnd = at === parts.length - 1 && end === "with the last";
        frames.push(frame(data, (isEnd ? endStream : 0) | padFlag, id, pad(part)));
      });
      if (end === "alone") frames.push(frame(data, endStream, id));
      if (end === "trailers") frames.push(frame(headers, endStream | endHeaders, id, block("x-after", "all")));
      if (end === "reset") frames.push(frame(rstStream, 0, id, u32(8)));
      const what = `${fields.join(" ")} │ ${said.bytes.length} bytes ${said.bytes.subarray(0, 12).toString("hex")} │ ends ${end}`;
      return { what, frames, isWhole: end !== "never" && end !== "reset", strict: [...strict, ...said.strict] };
    });

/** What goes on beside the streams and changes nothing. */
const besides = fc.constantFrom(
  frame(ping, 0, 0, Buffer.from("12345678")),
  frame(windowUpdate, 0, 0, u32(1000)),
  frame(77, 3, 5, Buffer.from("unknown")),
  frame(priority, 0, 9, Buffer.from([0, 0, 0, 0, 7])),
  settingsFrame([4, 70_000], [3, 10]),
  settingsFrame([0x99, 1]),
);

const begun = frame(
  headers,
  endHeaders,
  99,
  block(":method", "POST", ":scheme", "http", ":path", say.path, ":authority", "here"),
);
const onBegun = (type: number, flags: number, payload: Buffer): Buffer =>
  Buffer.concat([begun, frame(type, flags, 99, payload)]);

/** What no connection survives, whatever was before. */
const fatal = fc.constantFrom<[string, Buffer]>(
  ["DATA on stream 0", frame(data, 0, 0, Buffer.from("x"))],
  ["HEADERS on stream 0", frame(headers, endHeaders, 0, block(":method", "POST"))],
  ["HEADERS on an even stream", frame(headers, endHeaders, 2, block(":method", "POST"))],
  ["CONTINUATION of nothing", frame(continuation, endHeaders, 1, block("a", "b"))],
  ["a block that is none", frame(headers, endHeaders, 99, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
  ["an index that nobody has", frame(headers, endHeaders, 99, Buffer.from([0xff, 0x20]))],
  ["PING of 7 bytes", frame(ping, 0, 0, Buffer.alloc(7))],
  ["PING on a stream", frame(ping, 0, 1, Buffer.alloc(8))],
  ["SETTINGS of 5 bytes", frame(settings, 0, 0, Buffer.alloc(5))],
  ["SETTINGS on a stream", frame(settings, 0, 1)],
  ["an ACK with a payload", frame(settings, 1, 0, Buffer.alloc(6))],
  ["ENABLE_PUSH of 2", settingsFrame([2, 2])],
  ["a window over 2^31 - 1", settingsFrame([4, 0x80000000])],
  ["a frame size under 16,384", settingsFrame([5, 100])],
  ["WINDOW_UPDATE of nothing", frame(windowUpdate, 0, 0, u32(0))],
  ["WINDOW_UPDATE over 2^31 - 1", frame(windowUpdate, 0, 0, u32(0x7fffffff))],
  ["WINDOW_UPDATE of 3 bytes", frame(windowUpdate, 0, 0, Buffer.alloc(3))],
  ["RST_STREAM of 3 bytes", onBegun(rstStream, 0, Buffer.alloc(3))],
  ["RST_STREAM of a stream that never was", frame(rstStream, 0, 99, u32(8))],
  ["DATA of a stream that never was", frame(data, 0, 99, Buffer.from("x"))],
  ["PUSH_PROMISE from a client", frame(pushPromise, endHeaders, 1, Buffer.concat([u32(2), block(":method", "GET")]))],
  ["more padding than payload", onBegun(data, padded, Buffer.from([9, 1]))],
  ["a frame of 16,385 bytes", onBegun(data, 0, Buffer.alloc(16_385))],
  ["GOAWAY of 7 bytes", frame(goaway, 0, 0, Buffer.alloc(7))],
);

const conversation = fc.record({
  streams: fc.oneof(fc.tuple(asked(1)), fc.tuple(asked(1), asked(3)), fc.tuple(asked(1), asked(3), asked(5))),
  order: fc.array(fc.nat(6), { maxLength: 40 }),
  beside: fc.array(besides, { maxLength: 3 }),
  last: fc.option(fatal, { freq: 4 }),
});

test("a client is told the same", async () => {
  await fc.assert(
    fc.asyncProperty(conversation, async ({ streams, order, beside, last }) => {
      const bytes = [beginning, ...interleaved(streams, order, beside), ...(last === null ? [] : [last[1]])];
      const [our, their] = await Promise.all([told(ports.ours, bytes, streams), told(ports.theirs, bytes, streams)]);
      const what = JSON.stringify({ streams: streams.map((stream) => stream.what), last: last?.[0] });
      expect(our.connection, what).toBe(their.connection);
      if (our.connection !== "open") return;
      streams.forEach(({ isWhole, strict }, at) => {
        const [own, other] = [our.streams[at]!, their.streams[at]!];
        if (!isWhole || strict.includes(own.verdict)) return;
        expect(own, what).toEqual(other);
        if (strict.length > 0) expect(own.verdict, what).not.toBe("grpc 0");
      });
    }),
    { numRuns: 60 },
  );
}, 120_000);

interface Outcome {
  /** In a word: `reset CODE`, an HTTP status, or `grpc STATUS`. */
  readonly verdict: string;
  readonly told: string;
}

/** What a client has been told when all is over that will be. */
async function told(
  port: number,
  bytes: readonly Buffer[],
  streams: readonly Asked[],
): Promise<{ readonly connection: string; readonly streams: readonly Outcome[] }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const peer = new RawPeer(socket);
  try {
    peer.send(...bytes);
    const isOver = (id: number): boolean =>
      peer.seen.some(
        ({ type, flags, streamId }) =>
          streamId === id && (type === rstStream || ((type === headers || type === data) && (flags & endStream) !== 0)),
      );
    await Promise.race([peer.settled().catch(() => undefined), peer.closed()]);
    const areAllOver = (): boolean => streams.every(({ isWhole }, at) => !isWhole || isOver(2 * at + 1));
    await expect.poll(() => peer.isClosed || areAllOver(), { interval: 2, timeout: 10_000 }).toBe(true);
    const end = peer.seen.find(({ type }) => type === goaway);
    const connection =
      end === undefined ? (peer.isClosed ? "closed" : "open") : `goaway ${end.payload.readUInt32BE(4)}`;
    return { connection, streams: streams.map((_, at) => outcome(peer, 2 * at + 1)) };
  } finally {
    socket.destroy();
  }
}

function outcome(peer: RawPeer, id: number): Outcome {
  const reset = peer.seen.find(({ type, streamId }) => type === rstStream && streamId === id);
  // Whether a refusal comes in one field section or in two is the server's business.
  const said = new Map<string, string>();
  for (const fields of peer.fields(id)) {
    for (let at = 0; at < fields.length; at += 2) said.set(fields[at]!, fields[at + 1]!);
  }
  const code = reset?.payload.readUInt32BE() ?? 0;
  const [http = "", grpc = ""] = [said.get(":status"), said.get("grpc-status")];
  const verdict = code !== 0 ? `reset ${code}` : http !== "200" ? http : `grpc ${grpc}`;
  return { verdict, told: `${verdict} ${peer.data(id).toString("latin1")}` };
}

/**
 * The streams' frames, each in its own order, and words of the connection's between. Streams begin in the order of their numbers, and a
 * field block stays whole.
 */
function interleaved(streams: readonly Asked[], order: readonly number[], beside: readonly Buffer[]): Buffer[] {
  const queues = streams.map(({ frames }) => [...frames]);
  const words = [...beside];
  const sent: Buffer[] = [];
  let at = 0;
  let begun = 0;
  while (queues.some((queue) => queue.length > 0)) {
    const choice = order[at++ % Math.max(1, order.length)] ?? 0;
    if (choice >= 3 && words.length > 0) {
      sent.push(words.pop()!);
      continue;
    }
    const open = queues.flatMap((queue, index) => (queue.length > 0 && index <= begun ? [index] : []));
    const index = open[choice % open.length]!;
    begun = Math.max(begun, index + 1);
    const queue = queues[index]!;
    do sent.push(queue.shift()!);
    while (queue[0]?.[3] === continuation);
  }
  return sent;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const length of places) {
    pieces.push(bytes.subarray(from, from + length));
    from = Math.min(bytes.length, from + length);
  }
  return [...pieces, bytes.subarray(from)];
}
