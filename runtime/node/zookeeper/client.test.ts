import type { Socket } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { createRandom } from "../../random.ts";
import { systemClock } from "../clock.ts";
import { HostileServer } from "../testing/zookeeper-server.ts";
import { ZooKeeperClient } from "./client.ts";
import { JuteWriter } from "./jute.ts";
import { opcode } from "./protocol.ts";

const clock = systemClock();
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function world() {
  const server = await HostileServer.start();
  closing.push(() => server.close());
  const states: string[] = [];
  const open = (servers = [server.address]): ZooKeeperClient => {
    const client = new ZooKeeperClient({
      clock,
      random: createRandom(states.length),
      servers,
      dial: (address) => address,
      chroot: "",
      sessionTimeoutMs: 600,
      onState: (state) => {
        if (states.at(-1) !== state) states.push(state);
      },
    });
    closing.push(() => client.close());
    return client;
  };
  return { server, states, open };
}

async function until(isSo: () => boolean): Promise<void> {
  const endUs = clock.nowUs() + 5_000_000;
  while (!isSo()) {
    if (clock.nowUs() > endUs) throw new Error(`it didn't happen: ${isSo.toString()}`);
    await clock.sleep(2_000);
  }
}

describe("a session", () => {
  test("is kept by a ping each third of its timeout, and given up in two thirds of silence", async () => {
    const { server, states, open } = await world();
    server.onRequest = (socket, xid) => {
      if (server.requests.length < 4) server.reply(socket, xid);
    };
    const begin = clock.nowUs();
    open();
    await until(() => states.includes("suspended"));
    expect(server.requests.slice(0, 4).every(([, type]) => type === opcode.ping)).toBe(true);
    // Three pings that were answered, and two thirds more.
    expect(clock.nowUs() - begin).toBeGreaterThan(900_000);
    await until(() => server.handshakes.length === 2);
    expect(server.handshakes[1]?.session).toBe(1n);
  });

  test("that expired is followed by a new one, and its listeners hear", async () => {
    const { server, states, open } = await world();
    const client = open();
    let sessions = 0;
    client.onSession(() => sessions++);
    await client.connected();
    server.onHandshake = (socket, session) => (session === 0n ? server.accept(socket, session) : server.expire(socket));
    server.sockets[0]?.destroy();
    await until(() => sessions === 2);
    expect(states).toEqual(["connected", "suspended", "expired", "suspended", "connected"]);
    expect(server.handshakes.map(({ session }) => session)).toEqual([0n, 1n, 0n]);
  });

  test("is ended from another connection, and its client hears of it as of any expiry", async () => {
    const { server, states, open } = await world();
    const client = open();
    await client.connected();
    server.onHandshake = (socket, session) => {
      if (session === 0n || server.handshakes.length === 2) server.accept(socket, session);
      else server.expire(socket);
    };
    server.onRequest = (socket, xid, type) => {
      server.reply(socket, xid);
      if (type === opcode.closeSession) server.sockets[0]?.destroy();
    };
    await client.expire();
    await until(() => client.sessions === 2);
    expect(states).toEqual(["connected", "suspended", "expired", "suspended", "connected"]);
    // The second was the other connection's, with this session's id.
    expect(server.handshakes.map(({ session }) => session)).toEqual([0n, 1n, 1n, 0n]);
  });

  test("that no server takes up any more can't be ended", async () => {
    const { server, open } = await world();
    const client = open();
    await client.connected();
    server.onHandshake = (socket) => server.expire(socket);
    await expect(client.expire()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("with servers that forgot everything ends in a new one, and versions go on growing", async () => {
    const { server, open } = await world();
    server.onRequest = (socket, xid) => server.reply(socket, xid, { zxid: 500n });
    const client = open();
    await client.delete("/a");
    const before = client.versionOf(500n);
    // A server that has less refuses who has seen more.
    server.onHandshake = (socket, session) => {
      if (server.handshakes.at(-1)!.lastZxid > 0n) socket.destroy();
      else if (session !== 0n) server.expire(socket);
      else server.accept(socket, session);
    };
    server.sockets[0]?.destroy();
    await until(() => client.sessions === 2);
    expect(client.versionOf(1n)).toBeGreaterThan(before);
    expect(server.handshakes.slice(1, 4).map(({ lastZxid }) => lastZxid)).toEqual([500n, 500n, 500n]);
  });

  test("with a server that was silent for long doesn't take its silence for forgetting", async () => {
    const { server, open } = await world();
    server.onRequest = (socket, xid) => server.reply(socket, xid, { zxid: 500n });
    const client = open();
    await client.delete("/a");
    // A paused server's kernel takes connections, and nobody answers.
    server.onHandshake = () => undefined;
    server.sockets[0]?.destroy();
    await until(() => server.handshakes.length === 6);
    server.onHandshake = (socket, session) => (session === 0n ? server.accept(socket, session) : server.expire(socket));
    await until(() => client.sessions === 2);
    expect(client.losses).toBe(0);
    expect(server.handshakes.every(({ lastZxid, session }) => session === 0n || lastZxid === 500n)).toBe(true);
  });

  test("goes to another server when one is dead or silent", async () => {
    const { server, open } = await world();
    const silent = await HostileServer.start();
    closing.push(() => silent.close());
    silent.onHandshake = () => undefined;
    const client = open(["127.0.0.1:1", silent.address, server.address]);
    await until(() => client.session !== undefined);
    expect(server.handshakes.length).toBe(1);
  });
});

describe("a request", () => {
  test("that is in flight when the connection breaks fails, and says that nobody knows", async () => {
    const { server, open } = await world();
    server.onRequest = (socket) => void socket.destroy();
    const client = open();
    await expect(client.create("/a", new Uint8Array())).rejects.toMatchObject({
      reason: "connection-loss",
      code: "UNAVAILABLE",
      hint: expect.stringContaining("read it back") as string,
    });
  });

  test("without a server fails in two thirds of the timeout", async () => {
    const { open } = await world();
    const client = open(["127.0.0.1:1"]);
    const begin = clock.nowUs();
    await expect(client.exists("/a")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(clock.nowUs() - begin).toBeGreaterThanOrEqual(400_000);
  });

  test("after close is CANCELLED, and closing again does nothing", async () => {
    const { open } = await world();
    const client = open();
    await client.connected();
    await client.close();
    await client.close();
    await expect(client.exists("/a")).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("that is too large isn't sent: the server would hang up", async () => {
    const { server, open } = await world();
    const client = open();
    await client.connected();
    await expect(client.setData("/a", new Uint8Array(1024 * 1024))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      hint: expect.stringContaining("1048575") as string,
    });
    expect(server.requests.filter(([, type]) => type === opcode.setData)).toEqual([]);
  });
});

describe("a server that talks nonsense", () => {
  const nonsense: Record<string, (server: HostileServer, socket: Socket, xid: number) => void> = {
    "a frame longer than anything": (_, socket) => socket.write(new JuteWriter().int(0x7fffffff).frame().subarray(4)),
    "a frame of less than nothing": (_, socket) => socket.write(new JuteWriter().int(-5).frame().subarray(4)),
    "a frame that is cut short": (_, socket) => socket.write(new JuteWriter().int(1).frame()),
    "an answer to what wasn't asked": (server, socket, xid) => server.reply(socket, xid + 7),
    "a reply without what it should hold": (server, socket, xid) => server.reply(socket, xid),
    noise: (_, socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
  };

  test.each(Object.keys(nonsense))("%s ends the connection, and the next one serves", async (name) => {
    const { server, states, open } = await world();
    server.onRequest = (socket, xid, type) => {
      if (type === opcode.getData) nonsense[name]!(server, socket, xid);
      else server.reply(socket, xid);
    };
    const client = open();
    await expect(client.getData("/a")).rejects.toMatchObject({ reason: "connection-loss" });
    await client.delete("/a");
    expect(states).toEqual(["connected", "suspended", "connected"]);
  });

  test("instead of a session makes the client try again, with pauses", async () => {
    const { server, open } = await world();
    server.onHandshake = (socket) => void socket.write("nonsense nonsense");
    open();
    await clock.sleep(600_000);
    expect(server.handshakes.length).toBeGreaterThan(1);
    expect(server.handshakes.length).toBeLessThan(8);
  });
});
