import { connect, createServer, type AddressInfo, type Socket } from "node:net";

import { afterEach, expect, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { createRandom } from "../../../runtime/random.ts";
import { PairProxy } from "./proxy.ts";

const clock = systemClock();
const owned: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of owned.splice(0).reverse()) await close();
});

test("bytes pass unchanged in both directions, and so does the end of each", async () => {
  const { proxy } = await echoThrough();
  const client = await dial(proxy);
  const payload = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  client.socket.end(payload);
  await client.ended;
  expect(Buffer.concat(client.received).equals(payload)).toBe(true);
});

test("latency delays every direction by as much, and the handshake by a round trip", async () => {
  const { proxy } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  await proxy.shape({ latency: { addUs: 40_000, jitterUs: 0, distribution: "uniform" } });
  expectWithin(await client.roundTripMs("slow"), 80, 110);
  const late = await dial(proxy);
  expectWithin(await late.roundTripMs("new"), 160, 200);
  await proxy.shape({});
  expect(await client.roundTripMs("healed")).toBeLessThan(30);
});

test("jitter never reorders what a connection carries", async () => {
  const { proxy } = await echoThrough();
  await proxy.shape({ latency: { addUs: 5_000, jitterUs: 5_000, distribution: "exponential" } });
  const client = await dial(proxy);
  const sent = Array.from({ length: 60 }, (_, index) => `${index};`);
  for (const part of sent) {
    client.socket.write(part);
    await clock.sleep(1_000);
  }
  await client.until(sent.join("").length);
  expect(client.text()).toBe(sent.join(""));
});

test("bandwidth limits each direction, and a lifted limit leaves nothing behind", async () => {
  const { proxy } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  await proxy.shape({ bandwidthBytesPerSecond: 100_000 });
  const payload = "x".repeat(20_000);
  expectWithin(await client.roundTripMs(payload), 190, 330);
  client.socket.write("y".repeat(1_000_000));
  await clock.sleep(30_000);
  await proxy.shape({});
  const beganUs = clock.nowUs();
  await client.until(4 + payload.length + 1_000_000);
  expect(clock.nowUs() - beganUs).toBeLessThan(500_000);
});

test("a cut holds bytes back in its direction only, and they arrive with a retransmission after it", async () => {
  const { proxy, heard } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");

  await proxy.shape({ cut: "backward" });
  const askedUs = clock.nowUs();
  client.socket.write("asked");
  await clock.sleep(60_000);
  expect(heard.join("")).toBe("warmasked");
  expect(client.text()).toBe("warm");
  await proxy.shape({});
  await client.until(9);
  expect(client.text()).toBe("warmasked");
  // 200 ms after the reply was first lost, or, where a busy machine was late to heal the link, still later.
  expect(clock.nowUs() - askedUs).toBeGreaterThanOrEqual(200_000);

  await proxy.shape({ cut: "forward" });
  client.socket.write("lost");
  await clock.sleep(60_000);
  expect(heard.join("")).toBe("warmasked");
  await proxy.shape({});
  await client.until(13);
});

test("behind a cut, connections open and stay silent, and a sender in the end has to wait", async () => {
  const { proxy, accepted, heard } = await echoThrough();
  await proxy.shape({ cut: "both" });
  const client = await dial(proxy);
  let flushed = 0;
  for (let index = 0; index < 400; index++) client.socket.write(Buffer.alloc(65_536), () => flushed++);
  await clock.sleep(150_000);
  expect(accepted()).toBe(0);
  // The proxy's queue and the kernel's buffers are full long before 25 MB.
  expect(flushed).toBeLessThan(300);
  await proxy.shape({});
  await client.until(400 * 65_536);
  expect(heard.join("").length).toBe(400 * 65_536);
});

test("a reset breaks the connections that are there, and later ones work", async () => {
  const { proxy } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  await proxy.reset();
  expect(await client.failure).toBe("ECONNRESET");
  expect(proxy.connections).toBe(0);
  await (await dial(proxy)).roundTrip("again");
});

test("refusing resets what is there and refuses what comes, until it is lifted", async () => {
  const { proxy } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  await proxy.shape({ isRefusing: true });
  expect(await client.failure).toBe("ECONNRESET");
  await expect(dial(proxy)).rejects.toThrow("ECONNREFUSED");
  await proxy.shape({});
  await (await dial(proxy)).roundTrip("again");
});

test("a dead destination refuses, but not behind a cut, where nobody learns of it", async () => {
  const { proxy, die } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  await proxy.shape({ cut: "both" });
  await die();
  await proxy.setDestinationAlive(false);
  const silent = await dial(proxy);
  const failures: string[] = [];
  for (const { failure } of [client, silent]) void failure.then((code) => failures.push(code));
  await clock.sleep(60_000);
  expect(failures).toEqual([]);
  await proxy.shape({});
  await expect(dial(proxy)).rejects.toThrow("ECONNREFUSED");
  await Promise.all([client.failure, silent.failure]);
  // One had a peer, which was closed; the other never got one.
  expect(failures.sort()).toEqual(["ECONNRESET", "closed"]);
});

test("a slow close keeps the end from the other side for its time", async () => {
  const { proxy } = await echoThrough();
  await proxy.shape({ slowCloseUs: 80_000 });
  const client = await dial(proxy);
  await client.roundTrip("warm");
  const beganUs = clock.nowUs();
  client.socket.end();
  await client.ended;
  expectWithin((clock.nowUs() - beganUs) / 1000, 160, 220);
});

test("a connection that one side resets is reset for the other", async () => {
  const { proxy, sockets } = await echoThrough();
  const client = await dial(proxy);
  await client.roundTrip("warm");
  sockets[0]?.resetAndDestroy();
  expect(await client.failure).toBe("ECONNRESET");
  const other = await dial(proxy);
  await other.roundTrip("warm");
  const closed = new Promise((resolve) => sockets[1]?.once("error", resolve));
  other.socket.resetAndDestroy();
  expect(await closed).toMatchObject({ code: "ECONNRESET" });
  await clock.sleep(10_000);
  expect(proxy.connections).toBe(0);
});

/** A server that echoes, and the proxy that leads to it. */
async function echoThrough() {
  const sockets: Socket[] = [];
  const heard: string[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      heard.push(bytes.toString("latin1"));
      socket.write(bytes);
    });
    socket.on("end", () => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const die = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  owned.push(die);
  const proxy = new PairProxy(
    { clock, random: createRandom(1) },
    {
      name: "a → b",
      listen: { host: "127.0.0.1", port: 0 },
      destination: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    },
  );
  await proxy.open();
  owned.push(() => proxy.close());
  return { proxy, sockets, heard, die, accepted: () => sockets.length };
}

/** A client of the proxy that keeps what it receives. */
async function dial(proxy: PairProxy) {
  const [host, port] = proxy.address.split(":");
  const socket = connect({ host: host!, port: Number(port), noDelay: true });
  owned.push(() => socket.destroy());
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const received: Buffer[] = [];
  let length = 0;
  let waiting: { readonly length: number; readonly resolve: () => void } | undefined;
  socket.on("data", (bytes) => {
    received.push(bytes);
    length += bytes.length;
    if (waiting !== undefined && length >= waiting.length) waiting.resolve();
  });
  const until = (wanted: number): Promise<void> =>
    new Promise((resolve) => {
      if (length >= wanted) resolve();
      else waiting = { length: wanted, resolve };
    });
  const roundTrip = async (text: string): Promise<void> => {
    const wanted = length + text.length;
    socket.write(text);
    await until(wanted);
  };
  return {
    socket,
    received,
    until,
    roundTrip,
    roundTripMs: async (text: string): Promise<number> => {
      const beganUs = clock.nowUs();
      await roundTrip(text);
      return (clock.nowUs() - beganUs) / 1000;
    },
    text: () => Buffer.concat(received).toString("latin1"),
    ended: new Promise((resolve) => socket.once("end", resolve)),
    /** Why the connection is gone: an error's code, or "closed". */
    failure: new Promise<string>((resolve) => {
      socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? ""));
      socket.once("close", () => resolve("closed"));
    }),
  };
}

function expectWithin(value: number, from: number, to: number): void {
  expect(value).toBeGreaterThanOrEqual(from);
  expect(value).toBeLessThanOrEqual(to);
}
