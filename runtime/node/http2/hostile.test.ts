import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { PeersMemory } from "../peer-memory.ts";
import { errorCodes } from "./errors.ts";
import { trimValues } from "./fields.ts";
import { frame, frameFlags, frameTypes, u32 } from "./frames.ts";
import { settingIds } from "./settings.ts";
import { queuedBytesMax, type Http2Stream } from "./stream.ts";
import { encodeFields } from "./hpack/encoder.ts";
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
  type TestServer,
} from "./testing.ts";

const clock = systemClock();
const { data, headers, priority, rstStream, ping, windowUpdate, continuation } = frameTypes;
const { endStream, endHeaders } = frameFlags;
const request = (id: number, flags: number = endHeaders): Buffer => frame(headers, flags, id, requestBlock);
const times = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));

const answerBlock = block(":status", "200", "content-type", "application/grpc");

/** As much as a frame holds. */
const full = Buffer.alloc(16_384);

let server: TestServer;
beforeEach(async () => {
  server = await echoServer();
});
afterEach(() => server.close());

describe("floods end their own connection with ENHANCE_YOUR_CALM, and no other", () => {
  test.each<[string, () => Buffer]>([
    [
      "streams that are reset at once (CVE-2023-44487)",
      () => times(12_000, (at) => Buffer.concat([request(2 * at + 1), frame(rstStream, 0, 2 * at + 1, u32(8))])),
    ],
    [
      "streams that make the server reset them (CVE-2025-8671)",
      () => times(12_000, (at) => Buffer.concat([request(2 * at + 1), frame(windowUpdate, 0, 2 * at + 1, u32(0))])),
    ],
    ["malformed requests", () => times(12_000, (at) => frame(headers, endHeaders, 2 * at + 1, Buffer.from([0x82])))],
    ["PING", () => times(30_000, () => frame(ping, 0, 0, Buffer.alloc(8)))],
    ["SETTINGS", () => times(30_000, () => emptySettings)],
    ["PRIORITY", () => times(30_000, () => frame(priority, 0, 1, Buffer.alloc(5)))],
    ["frames of unknown types", () => times(30_000, () => frame(200, 0, 0))],
    [
      "DATA of nothing but padding",
      () => Buffer.concat([request(1), times(30_000, () => frame(data, frameFlags.padded, 1, Buffer.from([0])))]),
    ],
    [
      "DATA for a stream that was reset",
      () =>
        Buffer.concat([
          request(1),
          frame(windowUpdate, 0, 1, u32(0)),
          times(30_000, () => frame(data, 0, 1, Buffer.from("x"))),
        ]),
    ],
    [
      "HEADERS for a stream that was reset",
      () => Buffer.concat([request(1), frame(windowUpdate, 0, 1, u32(0)), times(30_000, () => request(1, endHeaders))]),
    ],
    [
      "SETTINGS that open the windows of many streams by one byte",
      () =>
        Buffer.concat([
          settingsFrame([settingIds.initialWindowSize, 0]),
          times(200, (at) =>
            Buffer.concat([request(2 * at + 1), frame(data, endStream, 2 * at + 1, Buffer.alloc(1000))]),
          ),
          times(200, (at) => settingsFrame([settingIds.initialWindowSize, at + 1])),
        ]),
    ],
    ["DATA of nothing", () => Buffer.concat([request(1), times(30_000, () => frame(data, 0, 1))])],
    [
      "WINDOW_UPDATE of one byte",
      () => Buffer.concat([request(1), times(30_000, () => frame(windowUpdate, 0, 1, u32(1)))]),
    ],
    ["CONTINUATION of nothing", () => Buffer.concat([request(1, 0), times(1_000, () => frame(continuation, 0, 1))])],
    [
      "CONTINUATION without an end (CVE-2024-27316)",
      () => Buffer.concat([request(1, 0), times(30, () => frame(continuation, 0, 1, Buffer.alloc(16_384)))]),
    ],
  ])("%s", async (_, flood) => {
    // prettier-ignore
    const other = await server.open(beginning, request(1));
    const peer = await server.open(beginning);
    peer.send(flood());
    expect(await peer.goaway()).toBe(errorCodes.enhanceYourCalm);
    await peer.closed();
    other.send(frame(data, endStream, 1, Buffer.from("alive")));
    await other.frame(({ type, flags }) => type === headers && (flags & endStream) !== 0);
    expect(other.data(1).toString()).toBe("alive");
  });
});

test("as many frames that bring something are no flood", async () => {
  const peer = await server.open(beginning);
  for (let id = 1; id < 8_000; id += 2) {
    peer.send(frame(ping, 0, 0, Buffer.alloc(8)), request(id), frame(data, endStream, id, Buffer.from("x")));
    if (id % 200 === 1) await peer.settled();
  }
  await peer.frame(({ type, streamId, flags }) => type === headers && streamId === 7_999 && (flags & endStream) !== 0);
});

describe("what good peers send in numbers is no flood", () => {
  const small = Buffer.alloc(25, "x");
  const message = frame(data, 0, 1, small);
  /** As grpc-go answers data: once a round trip it measures the path, and opens the connection's window again. */
  const taken = Buffer.concat([frame(ping, 0, 0, Buffer.alloc(8)), frame(windowUpdate, 0, 0, u32(small.length))]);
  const thousandTaken = frame(windowUpdate, 0, 1, u32(1000 * small.length));
  const rounds = 12_000;

  test("messages of a few bytes that go to and fro, each with a PING and a WINDOW_UPDATE: to a server", async () => {
    const peer = await server.open(beginning, request(1));
    for (let at = 0; at < rounds; at += 1000) {
      peer.send(
        times(1000, () => Buffer.concat([message, taken])),
        thousandTaken,
      );
      await peer.settled();
    }
    expect(peer.data(1)).toHaveLength(rounds * small.length);
  });

  test("the same to a client", async () => {
    const { session, peer, close } = await clientOf();
    try {
      peer.send(emptySettings);
      await expect.poll(() => session.isReady).toBe(true);
      let received = 0;
      const stream = session.open(
        { block: encodeFields(requestList), list: [] },
        streamEvents({
          onData: (bytes) => {
            received += bytes.length;
            stream!.consumed(bytes.length);
            stream!.data(Buffer.from(bytes));
          },
        }),
      );
      peer.send(frame(headers, endHeaders, 1, answerBlock));
      for (let at = 0; at < rounds; at += 1000) {
        peer.send(
          times(1000, () => Buffer.concat([message, taken])),
          thousandTaken,
        );
        await peer.settled();
      }
      expect([received, peer.data(1).length]).toEqual([rounds * small.length, rounds * small.length]);
    } finally {
      close();
    }
  });

  test("small messages one way, to a peer that answers each with a PING and a WINDOW_UPDATE", async () => {
    const mute = await echoServer({}, false);
    try {
      const peer = await mute.open(beginning, request(1));
      await peer.settled();
      const { stream } = mute.streams[0]!;
      stream.fields({ block: encodeFields([":status", "200"]), list: [] });
      for (let at = 0; at < rounds; at += 1000) {
        for (let one = 0; one < 1000; one++) stream.data(small);
        peer.send(
          times(1000, () => taken),
          thousandTaken,
        );
        await peer.settled();
      }
      expect(peer.data(1)).toHaveLength(rounds * small.length);
    } finally {
      mute.close();
    }
  });

  test("what a client streams to calls that a server has ended early, as far as their windows go", async () => {
    const mute = await echoServer({}, false);
    try {
      const ids = Array.from({ length: 100 }, (_, at) => 2 * at + 1);
      const peer = await mute.open(beginning, ...ids.map((id) => request(id)));
      await peer.settled();
      for (const { stream } of mute.streams) stream.reset(errorCodes.noError);
      for (const id of ids) {
        peer.send(
          times(2500, () => frame(data, 0, id, small)),
          frame(data, endStream, id),
        );
        await peer.settled();
      }
    } finally {
      mute.close();
    }
  }, 20_000);

  test("answers to calls that a client has given up, however many", async () => {
    const { session, peer, close } = await clientOf();
    try {
      peer.send(emptySettings);
      await expect.poll(() => session.isReady).toBe(true);
      const open = (): Http2Stream =>
        session.open({ block: encodeFields(requestList), list: [] }, streamEvents({}), true)!;
      for (let at = 0; at < 20_000; at++) open().reset(errorCodes.cancel);
      const last = open();
      await peer.frame(({ type, streamId }) => type === headers && streamId === last.id);
      for (let id = 1; id < last.id; id += 2) {
        peer.send(
          frame(headers, endHeaders, id, answerBlock),
          frame(data, 0, id, small),
          frame(windowUpdate, 0, id, u32(1)),
          frame(headers, endHeaders | endStream, id, block("grpc-status", "0")),
          frame(rstStream, 0, id, u32(8)),
        );
      }
      await peer.settled();
      expect([session.isOver, last.isClosed]).toEqual([false, false]);
    } finally {
      close();
    }
  }, 20_000);
});

test("a bomb of HPACK costs its request, and little memory", async () => {
  const peer = await server.open(beginning);
  const entry = Buffer.concat([Buffer.from([0x40, 0x01, 0x61, 0x7f, 0x8f, 0x1e]), Buffer.alloc(3982, "x")]);
  const before = process.memoryUsage().heapUsed;
  for (let id = 1; id < 40; id += 2) {
    peer.send(
      frame(headers, 0, id, Buffer.concat([requestBlock, entry])),
      frame(continuation, endHeaders, id, Buffer.alloc(16_000, 0xbe)),
    );
  }
  await peer.settled();
  expect(server.streams.every(({ list }) => list.length < 60)).toBe(true);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
});

test("spaces in the middle of an answer's value, as many as it may have, cost a client nothing", () => {
  const list = ["x-a", " 1 ", "x-b", `1${" ".repeat(65_000)}2`];
  const tookUs = [1, 2, 3].map(() => {
    const beganUs = clock.nowUs();
    expect(trimValues({ list, isTooLarge: false }).list).toEqual(["x-a", "1", ...list.slice(2)]);
    return clock.nowUs() - beganUs;
  });
  expect(Math.min(...tookUs)).toBeLessThan(500_000);
});

test("a reader that never reads is given up, and what it asked for is not kept for ever", async () => {
  const virtual = new ManualClock();
  const patient = await echoServer({ clock: virtual });
  try {
    const peer = await patient.open(beginning, settingsFrame([settingIds.initialWindowSize, 0x7fffffff]));
    peer.send(frame(windowUpdate, 0, 0, u32(0x7fffffff - 65_535)));
    await peer.settled();
    peer.socket.pause();
    const [session] = patient.sessions;
    for (let id = 1; id < 800; id += 2) {
      // Each comes back, and is queued at its stream; the socket takes no more.
      const written = peer.socket.write(Buffer.concat([request(id), times(15, () => frame(data, 0, id, full))]));
      if (!written) await clock.sleep(2_000);
    }
    await expect.poll(() => patient.streams.length, { timeout: 10_000 }).toBe(400);
    await expect.poll(() => session!.queuedBytes).toBeGreaterThan(queuedBytesMax - 15 * full.length);
    expect(session!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
    await expect.poll(() => patient.streams.at(-1)!.resets).toEqual([errorCodes.enhanceYourCalm]);
    // Nothing comes any more, no answer to a PING either.
    await virtual.advance(45_000_000);
    expect(session).toMatchObject({ isOver: true, queuedBytes: 0, streamCount: 0 });
  } finally {
    patient.close();
  }
}, 20_000);

test("what a reader leaves unread counts as kept for it, until it reads on", async () => {
  const memory = new PeersMemory().join(() => undefined);
  const counted = await echoServer({ memory }, false);
  try {
    const peer = await counted.open(beginning);
    peer.socket.pause();
    peer.send(times(900, (at) => request(2 * at + 1, endHeaders | endStream)));
    await expect.poll(() => counted.streams.length).toBe(900);
    // Fields need no window.
    const answer = { block: encodeFields([":status", "200"]), list: ["x-a", "v".repeat(16_300)] };
    for (const { stream } of counted.streams) stream.fields(answer, true);
    await expect.poll(() => memory.bytes).toBeGreaterThan(1_000_000);
    peer.socket.resume();
    await peer.settled();
    await expect.poll(() => memory.bytes).toBe(0);
  } finally {
    counted.close();
  }
});

test("answers that wait for closed windows are 64 MiB at most; beyond it streams are reset, and others go on", async () => {
  const peer = await server.open(beginning.subarray(0, 24), settingsFrame([settingIds.initialWindowSize, 0]));
  const count = Math.ceil(queuedBytesMax / (15 * full.length)) + 5;
  for (let at = 0; at < count; at++) {
    const id = 2 * at + 1;
    peer.send(
      request(id),
      times(15, () => frame(data, 0, id, full)),
    );
    if (at % 20 === 0) await peer.settled();
  }
  await peer.settled();
  const [session] = server.sessions;
  expect(session!.queuedBytes).toBeLessThanOrEqual(queuedBytesMax);
  expect(await peer.reset(2 * count - 1)).toBe(errorCodes.enhanceYourCalm);
  const reset = peer.seen.filter(({ type }) => type === rstStream).length;
  expect(reset).toBeGreaterThanOrEqual(5);
  expect(session!.streamCount).toBe(count - reset);
  // Room for one more, when one has gone.
  const last = 2 * count + 1;
  peer.send(frame(rstStream, 0, 1, u32(errorCodes.cancel)), request(last), frame(data, endStream, last, full));
  peer.send(frame(windowUpdate, 0, last, u32(full.length)));
  await peer.frame(({ type, streamId, flags }) => type === headers && streamId === last && (flags & endStream) !== 0);
  expect(peer.data(last)).toHaveLength(full.length);
}, 20_000);

test("zero windows hold a stream, and nothing else", async () => {
  const peer = await server.open(beginning.subarray(0, 24), settingsFrame([settingIds.initialWindowSize, 0]));
  peer.send(request(1), frame(data, endStream, 1, Buffer.from("held")));
  peer.send(request(3), frame(data, endStream, 3));
  await peer.frame(({ type, streamId, flags }) => type === headers && streamId === 3 && (flags & endStream) !== 0);
  expect(peer.data(1)).toHaveLength(0);
  peer.send(frame(windowUpdate, 0, 1, u32(1)));
  await peer.settled();
  expect(peer.data(1).toString()).toBe("h");
});

test("half a preface, half a frame and half a field section are given 10 s, however they trickle", async () => {
  const virtual = new ManualClock();
  const slow = await echoServer({ clock: virtual });
  try {
    const cut = request(1);
    const peers = await Promise.all([
      slow.open(),
      slow.open(beginning.subarray(0, 10)),
      slow.open(beginning, cut.subarray(0, 5)),
      slow.open(beginning, cut.subarray(0, cut.length - 1)),
      slow.open(beginning, request(1, 0)),
    ]);
    await expect.poll(() => slow.sessions.length).toBe(5);
    const fine = await slow.open(beginning, request(1));
    await fine.settled();
    await clock.sleep(20_000);
    for (let second = 0; second < 12; second++) {
      await virtual.advance(1_000_000);
      if (second % 2 === 0 && !peers[4].isClosed) peers[4].send(frame(continuation, 0, 1, Buffer.from([0x82])));
      await clock.sleep(5_000);
    }
    for (const peer of peers) expect(await peer.goaway()).toBe(errorCodes.enhanceYourCalm);
    await fine.settled();
  } finally {
    slow.close();
  }
});

test("a peer that doesn't take the last word keeps its connection 10 s", async () => {
  const virtual = new ManualClock();
  const leaving = await echoServer({ clock: virtual });
  try {
    const peer = await leaving.open(beginning, request(1, endHeaders | endStream));
    await peer.frame(({ type, flags }) => type === headers && (flags & endStream) !== 0);
    peer.socket.pause();
    const [session] = leaving.sessions;
    session!.leave();
    await virtual.advance(1_000_000);
    await virtual.advance(9_900_000);
    await clock.sleep(20_000);
    expect(session!.isOver).toBe(false);
    await virtual.advance(200_000);
    await expect.poll(() => session!.isOver).toBe(true);
    expect(virtual.pending).toBe(0);
  } finally {
    leaving.close();
  }
});

const anyFrame = fc
  .tuple(
    fc.oneof(fc.integer({ min: 0, max: 10 }), fc.nat(255)),
    fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x20), fc.nat(255)),
    fc.constantFrom(0, 1, 2, 3, 5, 7, 0x7fffffff),
    fc.oneof(
      fc.constantFrom(requestBlock, Buffer.alloc(0), u32(1), Buffer.alloc(5), Buffer.alloc(8), u32(0x7fffffff)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    ),
  )
  .map(([type, flags, id, payload]) => frame(type, flags, id, payload));

test("whatever frames come, in whatever order, and however they are cut: the same answer, an orderly end, others unharmed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyFrame, { maxLength: 12 }), fc.integer({ min: 1, max: 60 }), async (frames, size) => {
      const sent = Buffer.concat([beginning, ...frames]);
      const answers: string[] = [];
      for (const pieces of [[sent], cut(sent, size)]) {
        const peer = await server.open();
        for (const piece of pieces) {
          peer.socket.write(piece);
          if (pieces.length > 1) await new Promise<void>((resolve) => setImmediate(resolve));
        }
        await Promise.race([peer.settled().catch(() => undefined), peer.closed()]);
        const end = peer.seen.find(({ type }) => type === frameTypes.goaway);
        answers.push(end === undefined ? "open" : String(end.payload.readUInt32BE(4)));
        peer.socket.destroy();
      }
      expect(answers[1]).toBe(answers[0]);
    }),
    { numRuns: 60 },
  );
  const peer = await server.open(beginning, request(1, endHeaders | endStream));
  await peer.frame(({ type, flags }) => type === headers && (flags & endStream) !== 0);
}, 60_000);

const anyAnswer = fc.oneof(
  { weight: 3, arbitrary: anyFrame },
  { weight: 1, arbitrary: fc.constantFrom(1, 3).map((id) => frame(headers, endHeaders, id, answerBlock)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(1, 3), fc.constantFrom(0, endStream))
      .map(([id, flags]) => frame(frameTypes.data, flags, id, Buffer.from("answer"))),
  },
);

/** What two calls and their connection hear of a server that sends such bytes, in such pieces. */
async function heardOf(pieces: readonly Buffer[]): Promise<readonly string[]> {
  const heard: string[] = ["", "", ""];
  const { session, peer, close } = await clientOf({ onClosed: () => (heard[0] += "closed") });
  try {
    [1, 2].forEach((at) => {
      const stream = session.open(
        { block: encodeFields(requestList), list: [] },
        streamEvents({
          onFields: ({ list }, isEnd) => (heard[at] += `fields ${list.join()} ${isEnd} `),
          onData: (bytes, isEnd) => {
            // Pieces of one frame or the whole: the same bytes.
            heard[at] += `${bytes.toString("hex")}${isEnd ? " end " : ""}`;
            stream!.consumed(bytes.length);
          },
          onReset: ({ by, code }) => (heard[at] += `reset by ${by} ${by === "peer" ? code : ""} `),
        }),
      );
    });
    for (const piece of pieces) {
      peer.socket.write(piece);
      if (pieces.length > 1) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await Promise.race([peer.settled().catch(() => undefined), peer.closed()]);
    const end = peer.seen.find(({ type }) => type === frameTypes.goaway);
    heard[0] = end === undefined ? "open" : String(end.payload.readUInt32BE(4));
    return heard;
  } finally {
    close();
    await expect.poll(() => session.isOver, { interval: 1 }).toBe(true);
  }
}

test("whatever a server answers, in whatever order, and however it is cut: each call hears the same, once, and the client lives on", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyAnswer, { maxLength: 12 }), fc.integer({ min: 1, max: 60 }), async (frames, size) => {
      const sent = Buffer.concat([emptySettings, ...frames]);
      const whole = await heardOf([sent]);
      expect(await heardOf(cut(sent, size))).toEqual(whole);
      for (const one of whole.slice(1)) expect(one.split("reset").length).toBeLessThanOrEqual(2);
    }),
    { numRuns: 40 },
  );
}, 60_000);

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}
