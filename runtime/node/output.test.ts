import { PassThrough } from "node:stream";

import { expect, test } from "vitest";

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
