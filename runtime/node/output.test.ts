import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";

import { describe, expect, test } from "vitest";

import { Output } from "./output.ts";

test("what was made in one turn goes with one write, and what has gone isn't touched again", async () => {
  const socket = new PassThrough({ highWaterMark: 1 << 20 });
  const output = new Output(socket, () => undefined);
  output.push(Buffer.from("ab"));
  output.push(Buffer.from("cd"));
  await new Promise(setImmediate);
  const first = socket.read() as Buffer;
  output.push(Buffer.from("efgh"));
  await new Promise(setImmediate);
  expect([first.toString(), (socket.read() as Buffer).toString()]).toEqual(["abcd", "efgh"]);
});

describe("of a turn that makes much, parts go ahead", () => {
  const frames = Array.from({ length: 50 }, (_, number) => Buffer.alloc(200, number));
  /** How many bytes had gone after each of the frames, and all of them. */
  const sentBy = async (isSlow: boolean) => {
    const sent: Buffer[] = [];
    const waiting: (() => void)[] = [];
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        sent.push(Buffer.from(chunk));
        if (isSlow) waiting.push(done);
        else done();
      },
    });
    const output = new Output(socket, () => undefined);
    const gone = frames.map((frame) => {
      output.push(frame);
      return sent.reduce((sum, { length }) => sum + length, 0);
    });
    await new Promise(setImmediate);
    for (let done = waiting.pop(); done !== undefined; done = waiting.pop()) done();
    return { gone, writes: sent.length, all: Buffer.concat(sent) };
  };

  test("in their order, while the kernel takes them at once", async () => {
    const { gone, writes, all } = await sentBy(false);
    expect(gone.slice(0, 9)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1600]);
    expect(gone.every((bytes, index) => (index + 1) * 200 - bytes <= 1600)).toBe(true);
    expect(writes).toBe(7);
    expect(all.equals(Buffer.concat(frames))).toBe(true);
  });

  test("and wait together where it doesn't", async () => {
    const { gone, writes, all } = await sentBy(true);
    expect(gone.at(-1)).toBe(1600);
    expect(writes).toBe(2);
    expect(all.equals(Buffer.concat(frames))).toBe(true);
  });
});

test("a large frame's buffer isn't kept", async () => {
  const socket = new PassThrough({ highWaterMark: 16 << 20 });
  const output = new Output(socket, () => undefined);
  output.push(Buffer.alloc(4_000_000, 7));
  await new Promise(setImmediate);
  expect(output.bytes.length).toBe(0);
  expect(output.unsentBytes).toBe(socket.writableLength);
  output.push(Buffer.from("more"));
  await new Promise(setImmediate);
  expect(
    Buffer.concat([socket.read() as Buffer])
      .subarray(4_000_000)
      .toString(),
  ).toBe("more");
});

/** Two ends of a connection. */
async function connected(): Promise<{ readonly socket: Socket; readonly far: Socket; readonly close: () => void }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  const close = (): void => {
    socket.destroy();
    far.destroy();
    server.close();
  };
  return { socket, far, close };
}

test("a turn that makes more than a slab holds uses it again as soon as the kernel has it", async () => {
  const { socket, far, close } = await connected();
  try {
    const output = new Output(socket, () => undefined);
    const parts = Array.from({ length: 12 }, (_, number) => Buffer.alloc(10_000, number));
    const slabs = new Set<Buffer>();
    for (const part of parts) {
      output.push(part);
      slabs.add(output.bytes);
    }
    expect(slabs.size).toBe(1);
    const seen: Buffer[] = [];
    for await (const bytes of far as AsyncIterable<Buffer>) {
      seen.push(bytes);
      if (seen.reduce((sum, { length }) => sum + length, 0) === 120_000) break;
    }
    expect(Buffer.concat(seen).equals(Buffer.concat(parts))).toBe(true);
  } finally {
    close();
  }
});

test("a slab that the kernel has whole is used again; bytes that wait for the peer stay as they are", async () => {
  const { socket, far, close } = await connected();
  try {
    const output = new Output(socket, () => undefined);
    output.push(Buffer.from("first"));
    output.flush();
    expect(output.at).toBe(0);
    // More than the kernel takes while nobody reads.
    const part = 60_000;
    const parts = 400;
    for (let number = 0; number < parts; number++) {
      output.push(Buffer.alloc(part, number));
      output.flush();
    }
    expect(output.unsentBytes).toBeGreaterThan(part);
    const seen: Buffer[] = [];
    for await (const bytes of far as AsyncIterable<Buffer>) {
      seen.push(bytes);
      if (seen.reduce((sum, { length }) => sum + length, 0) === 5 + part * parts) break;
    }
    const all = Buffer.concat(seen);
    expect(all.toString("latin1", 0, 5)).toBe("first");
    for (let number = 0; number < parts; number++) {
      const from = 5 + number * part;
      expect(all.subarray(from, from + part).equals(Buffer.alloc(part, number)), String(number)).toBe(true);
    }
  } finally {
    close();
  }
});
