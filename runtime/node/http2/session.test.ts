import { connect as connectHttp2 } from "node:http2";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Clock } from "../../ports/clock.ts";
import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { errorCodes } from "./errors.ts";
import { clientPreface, frame, frameFlags, frameTypes, u32 } from "./frames.ts";
import { encodeFields } from "./hpack/encoder.ts";
import { settingIds } from "./settings.ts";
import {
  beginning,
  block,
  clientOf,
  echoServer,
  emptySettings,
  requestBlock,
  requestList,
  settingsFrame,
  streamEvents,
  type RawPeer,
  type SeenFrame,
  type TestServer,
} from "./testing.ts";

// RFC 9113, section by section: the other side is raw bytes. Each case names its section.

const clock = systemClock();
const { data, headers, priority, rstStream, settings, pushPromise, ping, goaway, windowUpdate, continuation } =
  frameTypes;
const { endStream, endHeaders, padded, ack } = frameFlags;
const bytes = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");
const request = (id: number, flags: number = endHeaders): Buffer => frame(headers, flags, id, requestBlock);
const whole = (id: number): Buffer => request(id, endHeaders | endStream);
const reset = (id: number): Buffer[] => [request(id), frame(rstStream, 0, id, u32(errorCodes.cancel))];
const with_ = (...more: string[]): Buffer => block(...requestList, ...more);

let server: TestServer;
/** 80,000 bytes of fields. */
const large = Array.from({ length: 80 }, (_, index) => [`x-${index}`, "v".repeat(1000)]).flat();

/** A field section in as many frames as it needs. */
function inFrames(id: number, fields: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < fields.length; at += 16_384) {
    const flags = at + 16_384 >= fields.length ? endHeaders : 0;
    frames.push(frame(at === 0 ? headers : continuation, flags, id, fields.subarray(at, at + 16_384)));
  }
  return frames;
}

const closing: { close(): void }[] = [];
beforeEach(async () => {
  server = await echoServer();
  closing.push(server);
});
afterEach(() => {
  for (const item of closing.splice(0)) item.close();
});

describe("a server ends the connection", () => {
  test.each<[string, Uint8Array[], keyof typeof errorCodes]>([
    ["3.4 without the preface", [Buffer.from("GET / HTTP/1.1\r\n\r\n")], "protocolError"],
    ["3.4 when SETTINGS aren't first", [clientPreface, frame(ping, 0, 0, Buffer.alloc(8))], "protocolError"],
    ["3.4 when an acknowledgement is first", [clientPreface, frame(settings, ack, 0)], "protocolError"],
    ["4.2 at a frame larger than 16,384", [beginning, bytes("004001 00 00 00000001")], "frameSizeError"],
    ["4.2 at a frame that claims 16 MiB", [beginning, bytes("ffffff 00 00 00000001")], "frameSizeError"],
    [
      "4.3 at a field block that can't be read",
      [beginning, frame(headers, endHeaders, 1, bytes("80"))],
      "compressionError",
    ],
    ["4.2 at HEADERS larger than 16,384", [beginning, bytes("004001 01 04 00000001")], "frameSizeError"],
    ...[
      ["RFC 7541 6.1 index 0", "80"],
      ["RFC 7541 2.3.3 an index that neither table has", "be"],
      ["RFC 7541 4.2 a change of the table's size behind a field", "82 20"],
      ["RFC 7541 6.3 a table larger than this side allows", "3f e2 1f"],
      ["RFC 7541 5.1 an integer without an end", "ff ff ff ff ff ff ff"],
      ["RFC 7541 5.2 a text that is longer than its block", "00 05 61"],
      ["RFC 7541 5.2 more than 7 bits of Huffman's padding", "00 82 1f ff 01 61"],
      ["RFC 7541 5.2 Huffman's padding of zeros", "00 81 18 01 61"],
      ["RFC 7541 5.2 Huffman's EOS", "00 84 ff ff ff ff 01 61"],
    ].map(([name, block]): [string, Uint8Array[], "compressionError"] => [
      `4.3 at ${name}`,
      [beginning, frame(headers, endHeaders | endStream, 1, Buffer.concat([requestBlock, bytes(block!)]))],
      "compressionError",
    ]),
    ["4.3 at a block that is interrupted by another stream", [beginning, request(1, 0), request(3)], "protocolError"],
    [
      "4.3 at a block that is interrupted by an unknown frame",
      [beginning, request(1, 0), frame(99, 0, 1)],
      "protocolError",
    ],
    [
      "4.3 at a block that goes on in another stream",
      [beginning, request(1, 0), frame(continuation, endHeaders, 3)],
      "protocolError",
    ],
    ["5.1 at DATA of an idle stream", [beginning, frame(data, 0, 1)], "protocolError"],
    ["5.1 at RST_STREAM of an idle stream", [beginning, frame(rstStream, 0, 1, u32(8))], "protocolError"],
    ["5.1 at WINDOW_UPDATE of an idle stream", [beginning, frame(windowUpdate, 0, 1, u32(8))], "protocolError"],
    ["5.1 at CONTINUATION of nothing", [beginning, frame(continuation, endHeaders, 1, requestBlock)], "protocolError"],
    ["5.1 at HEADERS of a closed stream", [beginning, whole(3), whole(3)], "streamClosed"],
    ["5.1 at DATA of a closed stream", [beginning, whole(3), frame(data, endStream, 3)], "streamClosed"],
    ["5.1 at DATA of a stream that the client reset", [beginning, ...reset(1), frame(data, 0, 1)], "streamClosed"],
    ["5.1 at HEADERS of a stream that the client reset", [beginning, ...reset(1), whole(1)], "streamClosed"],
    ["5.1.1 at an even stream", [beginning, whole(2)], "protocolError"],
    ["5.1.1 at a stream below the last one", [beginning, whole(5), whole(3)], "streamClosed"],
    ["6.10 at CONTINUATION of no stream", [beginning, request(1, 0), frame(continuation, 4, 0)], "protocolError"],
    ["6.10 at CONTINUATION after the end", [beginning, whole(1), frame(continuation, 4, 1)], "protocolError"],
    ["6.1 at DATA of no stream", [beginning, frame(data, 0, 0)], "protocolError"],
    ["6.1 at more padding than DATA", [beginning, request(1), frame(data, padded, 1, bytes("02 61"))], "protocolError"],
    ["6.1 at padded DATA of nothing", [beginning, request(1), frame(data, padded, 1)], "frameSizeError"],
    ["6.2 at HEADERS of no stream", [beginning, whole(0)], "protocolError"],
    [
      "6.2 at more padding than HEADERS",
      [beginning, frame(headers, endHeaders | padded, 1, bytes("05 82"))],
      "protocolError",
    ],
    [
      "6.2 at a priority that is cut off",
      [beginning, frame(headers, endHeaders | frameFlags.priority, 1, bytes("0000"))],
      "frameSizeError",
    ],
    [
      "6.3 at PRIORITY of another size on a stream that was never begun",
      [beginning, frame(priority, 0, 5, Buffer.alloc(4))],
      "frameSizeError",
    ],
    ["6.3 at PRIORITY of no stream", [beginning, frame(priority, 0, 0, Buffer.alloc(5))], "protocolError"],
    ["6.4 at RST_STREAM of no stream", [beginning, frame(rstStream, 0, 0, u32(8))], "protocolError"],
    [
      "6.4 at RST_STREAM of another size",
      [beginning, request(1), frame(rstStream, 0, 1, bytes("000008"))],
      "frameSizeError",
    ],
    ["6.5 at SETTINGS of a stream", [beginning, frame(settings, 0, 1)], "protocolError"],
    ["6.5 at SETTINGS that aren't sixes", [beginning, frame(settings, 0, 0, bytes("0001"))], "frameSizeError"],
    [
      "6.5 at an acknowledgement that says more",
      [beginning, frame(settings, ack, 0, Buffer.alloc(6))],
      "frameSizeError",
    ],
    ["6.5.2 at ENABLE_PUSH 2", [beginning, settingsFrame([settingIds.enablePush, 2])], "protocolError"],
    [
      "6.5.2 at INITIAL_WINDOW_SIZE 2^31",
      [beginning, settingsFrame([settingIds.initialWindowSize, 2 ** 31])],
      "flowControlError",
    ],
    [
      "6.5.2 at MAX_FRAME_SIZE below 16,384",
      [beginning, settingsFrame([settingIds.maxFrameSize, 16_383])],
      "protocolError",
    ],
    [
      "6.5.2 at MAX_FRAME_SIZE above 2^24-1",
      [beginning, settingsFrame([settingIds.maxFrameSize, 2 ** 24])],
      "protocolError",
    ],
    ["6.6 at PUSH_PROMISE", [beginning, request(1), frame(pushPromise, endHeaders, 1, u32(2))], "protocolError"],
    ["6.7 at PING of a stream", [beginning, frame(ping, 0, 1, Buffer.alloc(8))], "protocolError"],
    ["6.7 at PING of another size", [beginning, frame(ping, 0, 0, Buffer.alloc(7))], "frameSizeError"],
    ["6.8 at GOAWAY of a stream", [beginning, frame(goaway, 0, 1, Buffer.alloc(8))], "protocolError"],
    ["6.8 at GOAWAY of another size", [beginning, frame(goaway, 0, 0, Buffer.alloc(7))], "frameSizeError"],
    ["6.9 at WINDOW_UPDATE of another size", [beginning, frame(windowUpdate, 0, 0, Buffer.alloc(3))], "frameSizeError"],
    ["6.9 at a WINDOW_UPDATE of nothing", [beginning, frame(windowUpdate, 0, 0, u32(0))], "protocolError"],
    [
      "6.9.1 at a connection's window above 2^31-1",
      [beginning, frame(windowUpdate, 0, 0, u32(0x7fffffff))],
      "flowControlError",
    ],
    [
      "6.9.2 at a setting that makes a stream's window larger than that",
      [
        beginning,
        request(1),
        frame(windowUpdate, 0, 1, u32(0x7fffffff - 65_535)),
        settingsFrame([settingIds.initialWindowSize, 65_536]),
      ],
      "flowControlError",
    ],
  ])("%s", async (_, sent, code) => {
    // prettier-ignore
    const peer = await server.open(...sent);
    expect(await peer.goaway()).toBe(errorCodes[code]);
    await peer.closed();
    await expectAlive();
  });
});

describe("a server ends the stream, and nothing else", () => {
  test.each<[string, Uint8Array[], keyof typeof errorCodes]>([
    [
      "5.1 at DATA after the end",
      [frame(headers, endHeaders | endStream, 1, requestBlock), frame(data, 0, 1)],
      "streamClosed",
    ],
    [
      "5.1 at HEADERS after the end",
      [frame(headers, endHeaders | endStream, 1, requestBlock), request(1)],
      "streamClosed",
    ],
    ["6.3 at PRIORITY of another size", [request(1), frame(priority, 0, 1, Buffer.alloc(4))], "frameSizeError"],
    ["6.9 at a WINDOW_UPDATE of nothing", [request(1), frame(windowUpdate, 0, 1, u32(0))], "protocolError"],
    ["6.9.1 at a window above 2^31-1", [request(1), frame(windowUpdate, 0, 1, u32(0x7fffffff))], "flowControlError"],
    [
      "8.1 at trailers that aren't the end",
      [request(1), frame(headers, endHeaders, 1, block("x-a", "1"))],
      "protocolError",
    ],
    [
      "8.1.1 at less data than content-length",
      [frame(headers, endHeaders, 1, with_("content-length", "3")), frame(data, endStream, 1, bytes("61"))],
      "protocolError",
    ],
    [
      "8.1.1 at more data than content-length",
      [frame(headers, endHeaders, 1, with_("content-length", "1")), frame(data, 0, 1, bytes("6161"))],
      "protocolError",
    ],
    [
      "8.1.1 at no data with a content-length",
      [frame(headers, endHeaders | endStream, 1, with_("content-length", "1"))],
      "protocolError",
    ],
    [
      "8.1.1 at a content-length that is none",
      [frame(headers, endHeaders, 1, with_("content-length", "-1"))],
      "protocolError",
    ],
    [
      "8.1.1 at content-lengths that differ (RFC 9110 section 8.6)",
      [frame(headers, endHeaders, 1, with_("content-length", "1", "content-length", "2"))],
      "protocolError",
    ],
    ["8.2.1 at capitals", [frame(headers, endHeaders, 1, with_("X-a", "1"))], "protocolError"],
    ["8.2.1 at an empty name", [frame(headers, endHeaders, 1, with_("", "1"))], "protocolError"],
    ["8.2.1 at a colon in a name", [frame(headers, endHeaders, 1, with_("x:a", "1"))], "protocolError"],
    ["8.2.1 at a line feed in a value", [frame(headers, endHeaders, 1, with_("x-a", "1\n2"))], "protocolError"],
    ["8.2.1 at a NUL in a value", [frame(headers, endHeaders, 1, with_("x-a", "1\x002"))], "protocolError"],
    ["8.2.1 at a value that ends with a tab", [frame(headers, endHeaders, 1, with_("x-a", "1\t"))], "protocolError"],
    ["8.2.1 at a value that begins with a space", [frame(headers, endHeaders, 1, with_("x-a", " 1"))], "protocolError"],
    ["8.2.2 at connection", [frame(headers, endHeaders, 1, with_("connection", "close"))], "protocolError"],
    [
      "8.2.2 at transfer-encoding",
      [frame(headers, endHeaders, 1, with_("transfer-encoding", "chunked"))],
      "protocolError",
    ],
    ["8.2.2 at another te than trailers", [frame(headers, endHeaders, 1, with_("te", "gzip"))], "protocolError"],
    ["8.3 at an unknown pseudo-header", [frame(headers, endHeaders, 1, with_(":protocol", "x"))], "protocolError"],
    ["8.3 at a pseudo-header of responses", [frame(headers, endHeaders, 1, with_(":status", "200"))], "protocolError"],
    [
      "8.3 at a pseudo-header in trailers",
      [request(1), frame(headers, endHeaders | endStream, 1, block(":path", "/"))],
      "protocolError",
    ],
    [
      "8.3 at a pseudo-header after others",
      [frame(headers, endHeaders, 1, block("x-a", "1", ...requestList))],
      "protocolError",
    ],
    [
      "8.3.1 at a pseudo-header twice",
      [frame(headers, endHeaders, 1, block(":method", "GET", ...requestList))],
      "protocolError",
    ],
    [
      "8.3.1 without :scheme",
      [frame(headers, endHeaders, 1, block(...requestList.slice(0, 2), ":path", "/"))],
      "protocolError",
    ],
    [
      "8.5 at CONNECT",
      [frame(headers, endHeaders, 1, block(":method", "CONNECT", ":authority", "a:1"))],
      "protocolError",
    ],
    ["8.3.1 without :method", [frame(headers, endHeaders, 1, block(...requestList.slice(2)))], "protocolError"],
    [
      "8.3.1 without :path",
      [frame(headers, endHeaders, 1, block(":method", "POST", ":scheme", "http"))],
      "protocolError",
    ],
    [
      "8.3.1 at an empty :path",
      [frame(headers, endHeaders, 1, block(":method", "POST", ":scheme", "http", ":path", ""))],
      "protocolError",
    ],
  ])("%s", async (_, sent, code) => {
    // prettier-ignore
    // What is already answered is no stream any more: a reader that says nothing keeps it open.
    const mute = await echoServer({}, false);
    closing.push(mute);
    const peer = await mute.open(beginning, ...sent);
    expect(await peer.reset(1)).toBe(errorCodes[code]);
    await peer.settled();
    expect(peer.isClosed).toBe(false);
  });

  test("5.1 frames of a stream that it has reset are ignored, and their data count for the connection", async () => {
    const peer = await server.open(beginning, frame(headers, endHeaders, 1, with_("X", "1")));
    expect(await peer.reset(1)).toBe(errorCodes.protocolError);
    peer.send(...Array.from({ length: 40 }, () => frame(data, 0, 1, Buffer.alloc(16_384))));
    const { payload } = await peer.frame(({ type, streamId, payload: by }) => {
      return type === windowUpdate && streamId === 0 && by.readUInt32BE() !== 1024 * 1024 - 65_535;
    });
    expect(payload.readUInt32BE()).toBeGreaterThanOrEqual(512 * 1024);
    peer.send(whole(3));
    await answered(peer, 3);
  });

  test("5.1.2 a stream above MAX_CONCURRENT_STREAMS is refused, and may come again", async () => {
    const narrow = await echoServer({ concurrentStreamsMax: 2 });
    closing.push(narrow);
    const peer = await narrow.open(beginning, request(1), request(3), request(5));
    expect(await peer.reset(5)).toBe(errorCodes.refusedStream);
    peer.send(frame(data, endStream, 1), whole(7));
    await answered(peer, 7);
    const said = await peer.frame(({ type, flags }) => type === settings && flags === 0);
    expect(said.payload.indexOf(bytes("0003 00000002"))).toBeGreaterThanOrEqual(0);
  });

  test("6.9.1 more data than the stream's window", async () => {
    const mute = await echoServer({ streamWindowBytes: 65_535 }, false);
    closing.push(mute);
    const peer = await mute.open(beginning, request(1));
    peer.send(...Array.from({ length: 5 }, () => frame(data, 0, 1, Buffer.alloc(16_384))));
    expect(await peer.reset(1)).toBe(errorCodes.flowControlError);
    expect(mute.streams[0]!.resets).toEqual([errorCodes.flowControlError]);
  });
});

describe("a server understands", () => {
  test("3.4 a preface that comes byte by byte, and all that follows", async () => {
    const peer = await server.open();
    const all = Buffer.concat([beginning, request(1), frame(data, endStream, 1, Buffer.from("hello"))]);
    for (const byte of all) {
      peer.socket.write(Buffer.from([byte]));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await answered(peer, 1);
    expect(peer.data(1).toString()).toBe("hello");
  });

  test("4.1 frames of unknown types, and flags that have no meaning, are ignored", async () => {
    const peer = await server.open(
      beginning,
      frame(99, 0xff, 0, Buffer.from("?")),
      frame(headers, endHeaders | endStream | 0xc2, 1, requestBlock),
    );
    await answered(peer, 1);
  });

  test("5.5 settings that nobody knows are ignored", async () => {
    const peer = await server.open(clientPreface, settingsFrame([0x1234, 7]), whole(1));
    await answered(peer, 1);
  });

  test("6.1 and 6.2 padding is no data, and counts for the windows", async () => {
    const large = Buffer.concat([bytes("ff"), Buffer.from("hi"), Buffer.alloc(255)]);
    const peer = await server.open(
      beginning,
      frame(headers, endHeaders | padded, 1, Buffer.concat([bytes("03"), requestBlock, Buffer.alloc(3)])),
      ...Array.from({ length: 1100 }, () => frame(data, padded, 1, large)),
      frame(data, endStream, 1),
    );
    await answered(peer, 1);
    expect(peer.data(1).toString()).toBe("hi".repeat(1100));
    // 283,800 bytes are more than a stream's window: it was given back, padding and all.
    expect(peer.seen.some(({ type, streamId }) => type === windowUpdate && streamId === 1)).toBe(true);
  });

  test("6.2 a priority in HEADERS, and 6.3 PRIORITY in any state, change nothing", async () => {
    const peer = await server.open(
      beginning,
      frame(priority, 0, 9, Buffer.alloc(5)),
      frame(headers, endHeaders | frameFlags.priority, 1, Buffer.concat([Buffer.alloc(5), requestBlock])),
      frame(data, endStream, 1),
      frame(priority, 0, 1, Buffer.alloc(5)),
    );
    await answered(peer, 1);
  });

  test("5.3 a stream that depends on itself is no error: priorities are ignored", async () => {
    const peer = await server.open(beginning, request(1), frame(priority, 0, 1, bytes("00000001 10")));
    peer.send(frame(data, endStream, 1));
    await answered(peer, 1);
  });

  test("6.7 an answer to a PING that nobody sent says nothing", async () => {
    const peer = await server.open(beginning, frame(ping, ack, 0, Buffer.from("flyball!")), whole(1));
    await answered(peer, 1);
  });

  test("6.8 a client's GOAWAY lets its streams end, and then the connection", async () => {
    const peer = await server.open(beginning, request(1));
    await peer.settled();
    peer.send(frame(goaway, 0, 0, Buffer.alloc(8)), frame(data, endStream, 1, Buffer.from("last")));
    await answered(peer, 1);
    expect(peer.data(1).toString()).toBe("last");
    await peer.closed();
  });

  test("8.2.2 te may say trailers", async () => {
    const peer = await server.open(beginning, frame(headers, endHeaders | endStream, 1, with_("te", "trailers")));
    await answered(peer, 1);
  });

  test("6.4 RST_STREAM ends a stream on this side", async () => {
    const peer = await server.open(beginning, request(1), frame(rstStream, 0, 1, u32(8)));
    await peer.settled();
    expect(server.streams[0]!.resets).toEqual([errorCodes.cancel]);
    expect(server.sessions[0]!.streamCount).toBe(0);
  });

  test("6.5.3 SETTINGS are acknowledged, in order, each", async () => {
    const peer = await server.open(beginning, settingsFrame([settingIds.headerTableSize, 0]), emptySettings);
    await peer.settled();
    expect(peer.seen.filter(({ type, flags }) => type === settings && flags === ack)).toHaveLength(3);
  });

  test("6.7 PING is answered with what it brought", async () => {
    const peer = await server.open(beginning, frame(ping, 0, 0, Buffer.from("12345678")));
    const { payload } = await peer.frame(({ type, flags }) => type === ping && flags === ack);
    expect(payload.toString()).toBe("12345678");
  });

  test("6.9 no more data than both windows allow, and the rest when they grow", async () => {
    const peer = await server.open(clientPreface, settingsFrame([settingIds.initialWindowSize, 10]), request(1));
    peer.send(frame(data, endStream, 1, Buffer.from("0123456789abcdef")));
    await peer.settled();
    expect(peer.data(1).toString()).toBe("0123456789");
    peer.send(frame(windowUpdate, 0, 1, u32(1)));
    await peer.settled();
    expect(peer.data(1).toString()).toBe("0123456789a");
    expect(peer.fields(1)).toHaveLength(1);
    peer.send(frame(windowUpdate, 0, 1, u32(100)));
    await answered(peer, 1);
    expect(peer.data(1).toString()).toBe("0123456789abcdef");
  });

  test("6.9.2 a window may become negative, and is waited out", async () => {
    const peer = await server.open(clientPreface, settingsFrame([settingIds.initialWindowSize, 10]), request(1));
    peer.send(frame(data, 0, 1, Buffer.from("0123456789")));
    await peer.settled();
    peer.send(settingsFrame([settingIds.initialWindowSize, 3]), frame(data, 0, 1, Buffer.from("xyz")));
    peer.send(frame(windowUpdate, 0, 1, u32(7)));
    await peer.settled();
    expect(peer.data(1).toString()).toBe("0123456789");
    peer.send(frame(windowUpdate, 0, 1, u32(2)));
    await peer.settled();
    expect(peer.data(1).toString()).toBe("0123456789xy");
    peer.send(settingsFrame([settingIds.initialWindowSize, 100]));
    await peer.settled();
    expect(peer.data(1).toString()).toBe("0123456789xyz");
  });

  test("6.9.1 the connection's window holds for all streams together, and all get their share of what is granted", async () => {
    const peer = await server.open(clientPreface, settingsFrame([settingIds.initialWindowSize, 1 << 20]));
    const half = Buffer.alloc(16_384, "x");
    for (const id of [1, 3, 5]) peer.send(request(id), frame(data, 0, id, half), frame(data, endStream, id, half));
    await peer.settled();
    const sent = (): number => [1, 3, 5].reduce((sum, id) => sum + peer.data(id).length, 0);
    expect(sent()).toBe(65_535);
    peer.send(frame(windowUpdate, 0, 0, u32(20_000)));
    await peer.settled();
    expect(sent()).toBe(85_535);
    peer.send(frame(windowUpdate, 0, 0, u32(100_000)));
    for (const id of [1, 3, 5]) await answered(peer, id);
    expect(sent()).toBe(6 * 16_384);
  });

  test("6.9 an end without data needs no window", async () => {
    const peer = await server.open(clientPreface, settingsFrame([settingIds.initialWindowSize, 0]), whole(1));
    await answered(peer, 1);
  });

  test("6.10 a request in many frames", async () => {
    const parts = Array.from(requestBlock, (byte) => Buffer.from([byte])).slice(0, 40);
    const rest = requestBlock.subarray(40);
    const peer = await server.open(
      beginning,
      frame(headers, endStream, 1, parts[0]),
      ...parts.slice(1).map((part) => frame(continuation, 0, 1, part)),
      frame(continuation, endHeaders, 1, rest),
    );
    await answered(peer, 1);
  });

  test("8.1 trailers of a request end it", async () => {
    const peer = await server.open(
      beginning,
      request(1),
      frame(data, 0, 1, Buffer.from("hi")),
      frame(headers, endHeaders | endStream, 1, block("x-a", "1")),
    );
    await answered(peer, 1);
  });
});

test("6.8 a server that leaves says so twice, takes what was on its way, and ends when all is answered", async () => {
  const peer = await server.open(beginning, request(1));
  await peer.settled();
  server.sessions[0]!.leave();
  const first = await peer.frame(({ type }) => type === goaway);
  expect(first.payload.readUInt32BE()).toBe(0x7fffffff);
  peer.send(whole(3));
  await answered(peer, 3);
  const asked = await peer.frame(({ type, flags }) => type === ping && flags === 0);
  peer.send(frame(ping, ack, 0, asked.payload));
  const last = await peer.frame(({ type, payload }) => type === goaway && payload.readUInt32BE() !== 0x7fffffff);
  expect(last.payload.readUInt32BE()).toBe(3);
  expect(peer.isClosed).toBe(false);
  peer.send(frame(data, endStream, 1, Buffer.from("late")));
  await answered(peer, 1);
  await peer.closed();
});

test("6.8 a server serves no stream that its last GOAWAY disowned, for the client repeats it elsewhere", async () => {
  const virtual = new ManualClock();
  const leaving = await echoServer({ clock: virtual });
  closing.push(leaving);
  const peer = await leaving.open(beginning, request(1));
  await peer.settled();
  leaving.sessions[0]!.leave();
  // Its PING gets no answer.
  await virtual.advance(1_000_000);
  const isLast = ({ type, payload }: SeenFrame): boolean => type === goaway && payload.readUInt32BE() !== 0x7fffffff;
  expect((await peer.frame(isLast)).payload.readUInt32BE()).toBe(1);
  peer.send(request(3), frame(data, endStream, 3, Buffer.from("late")));
  expect(await peer.reset(3)).toBe(errorCodes.refusedStream);
  expect(leaving.streams).toHaveLength(1);
  peer.send(frame(data, endStream, 1, Buffer.from("served")));
  await answered(peer, 1);
  await peer.closed();
});

describe("a client", () => {
  const post = { block: encodeFields([...requestList]), list: [] };
  const ok = (id: number, flags: number = endHeaders): Buffer => frame(headers, flags, id, block(":status", "200"));

  async function opened(...said: Uint8Array[]) {
    const log: string[] = [];
    let isReady!: () => void;
    const ready = new Promise<void>((resolve) => (isReady = resolve));
    const client = await clientOf({
      onReady: () => isReady(),
      onGoaway: ({ lastStreamId }) => log.push(`goaway ${lastStreamId}`),
    });
    closing.push(client);
    client.peer.send(...(said.length > 0 ? said : [emptySettings]));
    await ready;
    const events = (name: string) =>
      streamEvents({
        onFields: ({ list }, isEnd) => log.push(`${name} fields ${list.join()}${isEnd ? " end" : ""}`),
        onData: (seen, isEnd) => log.push(`${name} data ${seen.toString()}${isEnd ? " end" : ""}`),
        onReset: ({ code, by, isUnprocessed }) => log.push(`${name} reset ${code} by ${by}${isUnprocessed ? "!" : ""}`),
      });
    return { ...client, log, events };
  }

  test("3.4 begins with the preface and SETTINGS that forbid push", async () => {
    const { peer } = await opened();
    await peer.settled();
    expect(peer.seen[0]).toMatchObject({ type: settings, flags: 0, streamId: 0 });
    expect(peer.seen[0]!.payload.indexOf(bytes("0002 00000000"))).toBe(0);
  });

  test.each([
    ["HTTP/1.1 400 Bad Request\r\n\r\n", `the server doesn't speak HTTP/2: "HTTP/1.1 400 Bad Request"`],
    ["\xff\xfe\x00", "the server doesn't speak HTTP/2"],
    // An alert: protocol_version.
    ["\x15\x03\x03\x00\x02\x02\x46", "the server speaks TLS"],
  ])("3.4 says what is there in a server's place, from its first bytes: %j", async (said, told) => {
    const closed: string[] = [];
    const client = await clientOf({ onClosed: ({ message }) => closed.push(message) });
    closing.push(client);
    client.peer.send(Buffer.from(said, "latin1"));
    expect(await client.peer.goaway()).toBe(errorCodes.protocolError);
    await expect.poll(() => closed).toEqual([told]);
  });

  test("8.1 gets a response in all its parts, and others before it count for nothing", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"), true);
    await peer.frame(({ type }) => type === headers);
    peer.send(frame(headers, endHeaders, 1, block(":status", "103")), ok(1));
    peer.send(frame(data, 0, 1, Buffer.from("hi")), frame(headers, endHeaders | endStream, 1, block("x-end", "1")));
    await peer.settled();
    expect(log).toEqual(["a fields :status,200", "a data hi", "a fields x-end,1 end"]);
    expect(session.streamCount).toBe(0);
  });

  test.each<[string, Uint8Array[], keyof typeof errorCodes]>([
    ["5.1 a stream that was never begun", [ok(3)], "protocolError"],
    ["5.1.1 a stream of the server's", [ok(2)], "protocolError"],
    ["6.5.2 ENABLE_PUSH 1 from a server", [settingsFrame([settingIds.enablePush, 1])], "protocolError"],
    ["4.2 a frame larger than 16,384", [bytes("004001 00 00 00000001")], "frameSizeError"],
    ["6.5.2 INITIAL_WINDOW_SIZE 2^31", [settingsFrame([settingIds.initialWindowSize, 2 ** 31])], "flowControlError"],
    ["6.5.2 MAX_FRAME_SIZE 0", [settingsFrame([settingIds.maxFrameSize, 0])], "protocolError"],
    ["6.7 PING of another size", [frame(ping, 0, 0, Buffer.alloc(9))], "frameSizeError"],
    ["6.8 GOAWAY of a stream", [frame(goaway, 0, 1, Buffer.alloc(8))], "protocolError"],
    ["6.9 a WINDOW_UPDATE of nothing", [frame(windowUpdate, 0, 0, u32(0))], "protocolError"],
    ["6.9.1 a window above 2^31-1", [frame(windowUpdate, 0, 0, u32(0x7fffffff))], "flowControlError"],
    ["6.10 CONTINUATION of nothing", [frame(continuation, endHeaders, 1)], "protocolError"],
    ["6.6 a push", [frame(pushPromise, endHeaders, 1, u32(2))], "protocolError"],
    ["4.3 a block that can't be read", [frame(headers, endHeaders, 1, bytes("80"))], "compressionError"],
  ])("ends the connection at %s", async (_, said, code) => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"));
    peer.send(...said);
    expect(await peer.goaway()).toBe(errorCodes[code]);
    expect(log).toEqual(["a reset 0 by connection"]);
  });

  test.each<[string, Uint8Array[], keyof typeof errorCodes]>([
    ["8.1 DATA before a response", [frame(data, 0, 1, Buffer.from("x"))], "protocolError"],
    ["8.3.2 a response without a status", [frame(headers, endHeaders, 1, block("x-a", "1"))], "protocolError"],
    ["8.3.2 a status that is none", [frame(headers, endHeaders, 1, block(":status", "abc"))], "protocolError"],
    [
      "8.6 a response that switches protocols",
      [frame(headers, endHeaders, 1, block(":status", "101"))],
      "protocolError",
    ],
    [
      "8.2.2 connection in a response",
      [frame(headers, endHeaders, 1, block(":status", "200", "connection", "x"))],
      "protocolError",
    ],
    ["10.5.1 more fields than it takes", inFrames(1, block(":status", "200", ...large)), "enhanceYourCalm"],
  ])("ends the stream at %s", async (_, said, code) => {
    // prettier-ignore
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"));
    peer.send(...said);
    expect(await peer.reset(1)).toBe(errorCodes[code]);
    expect(log.at(-1)).toBe(`a reset ${errorCodes[code]} by us`);
    await peer.settled();
  });

  test("8.2.1 spaces and tabs at the edges of a response's values are left out, NUL and line feeds end its stream", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"));
    session.open(post, events("b"));
    peer.send(
      frame(headers, endHeaders, 1, block(":status", "200", "x-a", " \t1 2 \t")),
      frame(headers, endHeaders | endStream, 1, block("grpc-message", "failed: ", "x-b", " ")),
      frame(headers, endHeaders, 3, block(":status", "200", "x-a", "1\0")),
    );
    await peer.settled();
    expect(log).toEqual(["a fields :status,200,x-a,1 2", "a fields grpc-message,failed:,x-b, end", "b reset 1 by us"]);
  });

  test("8.3.2 a status of no known class is a response all the same (RFC 9110 section 15)", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"), true);
    peer.send(frame(headers, endHeaders | endStream, 1, block(":status", "800")));
    await peer.settled();
    expect(log).toEqual(["a fields :status,800 end"]);
  });

  test("6.8 GOAWAY ends what the server hasn't begun, lets the rest finish, and then the connection", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"), true);
    session.open(post, events("b"), true);
    peer.send(frame(goaway, 0, 0, Buffer.concat([u32(1), u32(0)])));
    await peer.settled();
    expect(log).toEqual(["b reset 7 by connection!", "goaway 1"]);
    expect(session.hasRoom).toBe(false);
    peer.send(ok(1, endHeaders | endStream));
    await peer.closed();
    expect(log.at(-1)).toBe("a fields :status,200 end");
    expect(await peer.goaway()).toBe(errorCodes.noError);
  });

  test("6.8 the code and the text of a GOAWAY reach whom they concern", async () => {
    const said: unknown[] = [];
    const client = await clientOf({
      onGoaway: ({ code, debug }) => said.push([code, debug]),
      onClosed: ({ message }) => said.push(message),
    });
    closing.push(client);
    const { session, peer } = client;
    peer.send(emptySettings);
    await expect.poll(() => session.hasRoom).toBe(true);
    const heard = (name: string) => streamEvents({ onReset: ({ message }) => said.push(`${name}: ${message}`) });
    session.open(post, heard("a"));
    session.open(post, heard("b"));
    const text = Buffer.concat([u32(1), u32(errorCodes.enhanceYourCalm), Buffer.from("too_many_pings\n")]);
    peer.send(frame(goaway, 0, 0, text));
    peer.socket.end();
    await expect.poll(() => session.isOver).toBe(true);
    expect(said).toEqual([
      "b: the server is going away (11: too_many_pings?)",
      [11, "too_many_pings?"],
      "a: the peer closed the connection (11: too_many_pings?)",
      "the peer closed the connection (11: too_many_pings?)",
    ]);
  });

  test("6.8 what a server still says on streams that its GOAWAY ended is ignored", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"));
    session.open(post, events("b"));
    peer.send(frame(goaway, 0, 0, Buffer.concat([u32(1), u32(0)])), ok(3), frame(data, 0, 3, Buffer.from("late")));
    await peer.settled();
    expect(log).toEqual(["b reset 7 by connection!", "goaway 1"]);
  });

  test("5.1.2 opens no more streams than the server takes", async () => {
    const { session, peer, events } = await opened(settingsFrame([settingIds.maxConcurrentStreams, 1]));
    expect(session.hasRoom).toBe(true);
    session.open(post, events("a"), true);
    expect(session.hasRoom).toBe(false);
    peer.send(ok(1, endHeaders | endStream));
    await peer.settled();
    expect(session.hasRoom).toBe(true);
  });

  test("8.7 a refused stream wasn't begun", async () => {
    const { session, peer, log, events } = await opened();
    session.open(post, events("a"), true);
    peer.send(frame(rstStream, 0, 1, u32(errorCodes.refusedStream)));
    await peer.settled();
    expect(log).toEqual(["a reset 7 by peer!"]);
  });

  test("6.10 sends more fields than a frame holds, and 6.5.2 none that the server doesn't take", async () => {
    const { session, peer, events } = await opened(settingsFrame([settingIds.maxHeaderListSize, 50_000]));
    const list = Array.from({ length: 40 }, (_, index) => [`x-${index}`, "v".repeat(1000)]).flat();
    session.open({ ...post, list }, events("a"), true);
    await peer.frame(({ type, flags }) => type === continuation && flags === endHeaders);
    expect(peer.fields(1)).toEqual([[...requestList, ...list]]);
    expect(session.open({ ...post, list: [...list, ...list] }, events("b"))).toBeUndefined();
  });
});

test("a process that stood still reads its peers before it gives them up", async () => {
  const virtual = new ManualClock();
  let stoodStillUs = 0;
  const stopped: Clock = {
    nowUs: () => virtual.nowUs() + stoodStillUs,
    wallMs: () => virtual.wallMs(),
    after: (delayUs, fn) => virtual.after(delayUs, fn),
    sleep: (delayUs, signal) => virtual.sleep(delayUs, signal),
  };
  const serving = await echoServer({ clock: stopped });
  closing.push(serving);
  const peer = await serving.open(beginning, request(1));
  await peer.settled();
  const [session] = serving.sessions;
  const asked = (): number => peer.seen.filter(({ type, flags }) => type === ping && flags === 0).length;
  await virtual.advance(22_000_000);
  await expect.poll(asked).toBe(1);
  // The answer comes while nobody reads.
  stoodStillUs = 60_000_000;
  await virtual.advance(1_000_000);
  expect(session!.isOver).toBe(false);
  peer.send(frame(ping, ack, 0, Buffer.from("flyball?")));
  await peer.settled();
  await virtual.advance(5_000_000);
  expect(session!.isOver).toBe(false);
  // One that is really silent is given up all the same.
  await virtual.advance(22_000_000);
  await expect.poll(asked).toBe(2);
  stoodStillUs += 60_000_000;
  await virtual.advance(2_000_000);
  expect(session!.isOver).toBe(true);
});

test("a client is over when its server ends the connection, even if the socket is stuck for 10 s more", async () => {
  const virtual = new ManualClock();
  const why: string[] = [];
  const client = await clientOf({ onClosed: ({ message }) => why.push(message) }, { clock: virtual });
  closing.push(client);
  const { session, peer, socket } = client;
  peer.send(settingsFrame([settingIds.initialWindowSize, 0x7fffffff]), frame(windowUpdate, 0, 0, u32(0x7fff0000)));
  await peer.settled();
  peer.socket.pause();
  const resets: string[] = [];
  const events = streamEvents({ onReset: ({ by }) => resets.push(by) });
  const stream = session.open({ block: encodeFields([...requestList]), list: [] }, events)!;
  for (let time = 0; time < 1_000; time++) stream.data(Buffer.alloc(16_000), time === 999);
  await expect.poll(() => session.isFull).toBe(true);
  peer.socket.end();
  await expect.poll(() => session.isOver).toBe(true);
  expect([session.hasRoom, socket.destroyed, ...resets, ...why]).toEqual([
    ...[false, false, "connection", "the peer closed the connection"],
  ]);
  await virtual.advance(10_000_000);
  expect([socket.destroyed, virtual.pending, why.length]).toEqual([true, 0, 1]);
});

test("3.5 node:http2 understands it, and it understands node:http2: 100 requests of 100 KB at a time", async () => {
  const client = connectHttp2(`http://127.0.0.1:${server.port}`);
  closing.push({ close: () => client.destroy() });
  const body = Buffer.alloc(100_000, "x");
  const lengths = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const stream = client.request({ ":method": "POST", ":path": "/t.T/Echo", "x-some": "thing" });
      let length = 0;
      stream.on("data", (chunk: Buffer) => (length += chunk.length));
      stream.end(body);
      await new Promise((resolve) => stream.once("end", resolve));
      return length;
    }),
  );
  expect(new Set(lengths)).toEqual(new Set([100_000]));
});

async function answered(peer: RawPeer, id: number): Promise<void> {
  await peer.frame(({ type, flags, streamId }) => type === headers && streamId === id && (flags & endStream) !== 0);
}

async function expectAlive(): Promise<void> {
  const peer = await server.open(beginning, whole(1));
  await answered(peer, 1);
  peer.socket.destroy();
  await clock.sleep(0);
}
