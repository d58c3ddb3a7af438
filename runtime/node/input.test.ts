import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { PassThrough } from "node:stream";

import { afterEach, expect, test } from "vitest";

import { connectReading, hearBytes } from "./input.ts";

const owned: (() => unknown)[] = [];
afterEach(() => {
  for (const close of owned.splice(0)) close();
});

/** Two ends of a connection. */
async function connected(): Promise<readonly [near: Socket, far: Socket]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [far] = (await once(server, "connection")) as [Socket];
  owned.push(
    () => near.destroy(),
    () => far.destroy(),
    () => server.close(),
  );
  return [near, far];
}

test("what a socket receives is there while it is heard, and gone afterwards", async () => {
  const [near, far] = await connected();
  const kept: Buffer[] = [];
  let text = "";
  hearBytes(near, (bytes) => {
    kept.push(bytes);
    text += bytes.toString();
  });
  const sent = "x".repeat(300_000);
  far.write(sent);
  await expect.poll(() => text.length).toBe(sent.length);
  expect(text).toBe(sent);
  expect(kept.map(({ length }) => length)).toEqual(kept.map(() => 0));
});

test("a client's connection reads all into one buffer, and hears the end", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connectReading({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }, () => undefined);
  owned.push(
    () => near.destroy(),
    () => server.close(),
  );
  const buffers = new Set<ArrayBufferLike>();
  const parts: Buffer[] = [];
  hearBytes(near, (bytes) => {
    buffers.add(bytes.buffer);
    parts.push(Buffer.from(bytes));
  });
  const [far] = (await once(server, "connection")) as [Socket];
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
  far.end(sent);
  await once(near, "end");
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
  expect(parts.length).toBeGreaterThan(1);
  expect(buffers.size).toBe(1);
});

test("a part of the pool, put back into a socket, leaves the pool as it is", async () => {
  const [near] = await connected();
  const pooled = Buffer.from("abc");
  const neighbour = Buffer.from("def");
  let text = "";
  hearBytes(near, (bytes) => (text += bytes.toString()));
  near.unshift(pooled);
  await expect.poll(() => text).toBe("abc");
  expect([pooled.toString(), neighbour.toString()]).toEqual(["abc", "def"]);
});

test("what comes from something that is no socket is left to whom it belongs", async () => {
  const stream = new PassThrough();
  let text = "";
  hearBytes(stream, (bytes) => (text += bytes.toString()));
  const mine = Buffer.alloc(10_000, "a");
  stream.write(mine);
  await expect.poll(() => text.length).toBe(mine.length);
  expect(mine.toString()).toBe("a".repeat(mine.length));
});
