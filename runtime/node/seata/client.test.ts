import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test } from "vitest";

import type { Clock } from "../../ports/clock.ts";
import type { ResourceManager } from "../../ports/coordinator.ts";
import { createRandom } from "../../random.ts";
import { ManualClock } from "../../testing/clock.ts";
import { systemClock } from "../clock.ts";
import { SeataClient } from "./client.ts";
import { encodeFrame, FrameReader, seataCodec, type Frame, type FrameKind } from "./frame.ts";
import { decodeMessage, encodeMessage, type Message } from "./message.ts";

const xid = "127.0.0.1:8091:1";
const ok = { isOk: true, message: "", exception: "Unknown" } as const;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("it registers before it asks, and answers come to who asked, in any order", async () => {
  const server = await scripted((peer, message, frame) => {
    // The first question is answered after the second.
    if (message.type === "GlobalStatus") peer.held.push(frame.id);
    if (peer.held.length === 2) {
      peer.respond(peer.held[1]!, { type: "GlobalStatusResponse", result: ok, status: "Committing" });
      peer.respond(peer.held[0]!, { type: "GlobalStatusResponse", result: ok, status: "Begin" });
    }
  });
  const client = clientOf(server);
  expect(await Promise.all([client.status(xid), client.status(`${xid}1`)])).toEqual(["Begin", "Committing"]);
  expect(server.messages.map(({ type }) => type)).toEqual(["RegisterTM", "GlobalStatus", "GlobalStatus"]);
  expect(server.connections).toBe(1);
});

test("a server that doesn't answer in time is a RequestTimeout, and its late answer nobody's", async () => {
  const server = await scripted((peer, message, frame) => {
    if (message.type !== "GlobalStatus") return;
    if (peer.held.push(frame.id) === 1) return;
    peer.respond(peer.held[0]!, { type: "GlobalStatusResponse", result: ok, status: "Committed" });
    peer.respond(frame.id, { type: "GlobalStatusResponse", result: ok, status: "Begin" });
  });
  const client = clientOf(server, { tmTimeoutMs: 100 });
  await expect(client.status(xid)).rejects.toMatchObject({ code: "RequestTimeout" });
  expect(await client.status(xid)).toBe("Begin");
});

test("nobody there is ConnectionLost, for everybody who asks", async () => {
  const server = await scripted(() => undefined);
  await server.close();
  const client = clientOf(server, { connectWithinMs: 300 });
  const asked = await Promise.allSettled(Array.from({ length: 50 }, () => client.status(xid)));
  const reasons = asked.map((one) => one.status === "rejected" && (one.reason as { readonly code: string }).code);
  expect(new Set(reasons)).toEqual(new Set(["ConnectionLost"]));
});

test("a server that hangs up again and again is tried with pauses", async () => {
  const server = await scripted(() => undefined, { onConnection: (socket) => socket.destroy() });
  const client = clientOf(server, { connectWithinMs: 700 });
  await expect(client.status(xid)).rejects.toMatchObject({ code: "ConnectionLost" });
  expect(server.connections).toBeGreaterThan(1);
  expect(server.connections).toBeLessThan(10);
});

test("whoever doesn't speak the protocol is a ProtocolError, at once", async () => {
  const server = await scripted(() => undefined, {
    onConnection: (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
  });
  const client = clientOf(server);
  await expect(client.status(xid)).rejects.toMatchObject({
    code: "ProtocolError",
    message: expect.stringContaining("the magic number 4854") as string,
    hint: "is it Seata's port (8091), and not the one of its console (7091)?",
  });
});

test("an answer to another question is a ProtocolError, and the connection begins anew", async () => {
  const server = await scripted((peer, message, frame) => {
    if (message.type !== "GlobalStatus") return;
    if (server.connections === 1) return peer.respond(frame.id, { type: "BranchReportResponse", result: ok });
    peer.respond(frame.id, { type: "GlobalStatusResponse", result: ok, status: "Begin" });
  });
  const client = clientOf(server);
  await expect(client.status(xid)).rejects.toMatchObject({ code: "ProtocolError" });
  expect(await client.status(xid)).toBe("Begin");
});

test("a client that isn't taken is told so", async () => {
  const server = await scripted(() => undefined, { isIdentified: false });
  const client = clientOf(server);
  await expect(client.status(xid)).rejects.toMatchObject({ code: "RegistrationRefused" });
});

test("what the server refuses carries its name and its words", async () => {
  const server = await scripted((peer, message, frame) => {
    const result = { isOk: false, message: "Global lock acquire failed", exception: "LockKeyConflict" } as const;
    if (message.type === "BranchRegister") {
      peer.respond(frame.id, { type: "BranchRegisterResponse", result, branchId: "0" });
    }
  });
  const client = clientOf(server);
  const branch = { xid, branchType: "AT", resourceId: "db", lockKey: "stock:1", applicationData: "" } as const;
  await expect(client.registerBranch(branch)).rejects.toMatchObject({
    code: "LockKeyConflict",
    message: "Global lock acquire failed",
  });
});

test("a failure that comes with a state is that state: the server goes on trying", async () => {
  const server = await scripted((peer, message, frame) => {
    const result = { isOk: false, message: "rm client is not connected", exception: "Unknown" } as const;
    if (message.type === "GlobalCommit") {
      peer.respond(frame.id, { type: "GlobalCommitResponse", result, status: "CommitRetrying" });
    }
  });
  expect(await clientOf(server).commit(xid)).toBe("CommitRetrying");
});

test("resources are registered again on each connection, and phase two is answered there", async () => {
  const server = await scripted(() => undefined);
  const client = clientOf(server);
  const manager: ResourceManager = {
    commit: async ({ branchId }) => (branchId === "7" ? "PhaseTwo_Committed" : Promise.reject(new Error("not mine"))),
    rollback: async () => "PhaseTwo_Rollbacked",
  };
  await client.registerResource("debit", manager);
  await client.registerResource("credit", manager);
  const before = server.messages.length;
  server.peer.socket.destroy();
  await expect.poll(() => server.messages.length).toBe(before + 2);
  expect(server.connections).toBe(2);
  expect(server.messages.at(-1)).toMatchObject({ type: "RegisterRM", resourceIds: "debit,credit" });

  const branch = { xid, branchType: "TCC", applicationData: "" } as const;
  server.peer.ask(1, { type: "BranchCommit", branchId: "7", resourceId: "debit", ...branch });
  server.peer.ask(2, { type: "BranchCommit", branchId: "8", resourceId: "debit", ...branch });
  server.peer.ask(3, { type: "BranchRollback", branchId: "7", resourceId: "credit", ...branch });
  server.peer.ask(4, { type: "BranchRollback", branchId: "7", resourceId: "unknown", ...branch });
  await expect.poll(() => server.answers.size).toBe(4);
  const statusOf = (id: number) => (server.answers.get(id) as { readonly status?: string }).status;
  expect([1, 2, 3, 4].map(statusOf)).toEqual([
    "PhaseTwo_Committed",
    "PhaseTwo_CommitFailed_Retryable",
    "PhaseTwo_Rollbacked",
    "PhaseTwo_RollbackFailed_Retryable",
  ]);
});

test("a resource id that the protocol can't tell from two is refused", async () => {
  const server = await scripted(() => undefined);
  const manager: ResourceManager = {
    commit: () => Promise.reject(new Error()),
    rollback: () => Promise.reject(new Error()),
  };
  await expect(clientOf(server).registerResource("a,b", manager)).rejects.toMatchObject({ code: "InvalidArgument" });
});

test("it pings after 5 s of silence, and gives up on who is silent for 15", async () => {
  const clock = new ManualClock();
  const server = await scripted((peer, message, frame) => {
    if (message.type === "GlobalStatus")
      peer.respond(frame.id, { type: "GlobalStatusResponse", result: ok, status: "Begin" });
  });
  const client = clientOf(server, { clock });
  await client.status(xid);
  for (let pings = 1; pings <= 3; pings++) {
    await clock.advance(5_000_000);
    await expect.poll(() => server.pings).toBe(pings);
    await settledSockets();
  }
  expect(server.connections).toBe(1);
  server.isDeaf = true;
  const asked = client.status(xid).catch((error: unknown) => error);
  await clock.advance(15_000_000);
  expect(await asked).toMatchObject({ code: "ConnectionLost" });
});

test("closing ends what is under way, and leaves no timer", async () => {
  const clock = new ManualClock();
  const server = await scripted(() => undefined);
  const client = clientOf(server, { clock });
  const asked = client.status(xid).catch((error: unknown) => error);
  await expect.poll(() => server.messages.length).toBe(2);
  await client.close();
  expect(await asked).toMatchObject({ code: "Closed" });
  await expect(client.begin({ name: "late", timeoutMs: 1 })).rejects.toMatchObject({ code: "Closed" });
  expect(clock.pending).toBe(0);
});

interface Peer {
  readonly socket: Socket;
  readonly held: number[];
  respond(id: number, message: Message): void;
  ask(id: number, message: Message): void;
}

interface Scripted {
  readonly address: string;
  readonly messages: readonly Message[];
  /** To what the server asked, by id. */
  readonly answers: ReadonlyMap<number, Message>;
  readonly connections: number;
  readonly pings: number;
  /** Hears nothing and says nothing from now on. */
  isDeaf: boolean;
  /** The last connection. */
  readonly peer: Peer;
  close(): Promise<void>;
}

/** A server that takes every client, answers pings, and does with requests what the test says. */
async function scripted(
  onRequest: (peer: Peer, message: Message, frame: Frame) => void,
  options: { readonly onConnection?: (socket: Socket) => void; readonly isIdentified?: boolean } = {},
): Promise<Scripted> {
  const { onConnection, isIdentified = true } = options;
  const messages: Message[] = [];
  const answers = new Map<number, Message>();
  const sockets = new Set<Socket>();
  let peer: Peer | undefined;
  const counts = { connections: 0, pings: 0 };
  const hear = (from: Peer, frame: Frame): void => {
    if (frame.kind === "ping") {
      counts.pings++;
      from.socket.write(encodeFrame({ ...frame, kind: "pong" }));
      return;
    }
    const message = decodeMessage(frame.body);
    if (frame.kind === "response") return void answers.set(frame.id, message);
    messages.push(message);
    if (message.type !== "RegisterTM" && message.type !== "RegisterRM") return onRequest(from, message, frame);
    from.respond(frame.id, { type: `${message.type}Response`, isIdentified, version: "2.0.0" });
  };
  const server: Server = createServer((socket) => {
    counts.connections++;
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    if (onConnection !== undefined) return onConnection(socket);
    const reader = new FrameReader();
    const send = (kind: FrameKind) => (id: number, message: Message) =>
      void socket.write(encodeFrame({ kind, id, codec: seataCodec, body: encodeMessage(message) }));
    const own: Peer = { socket, held: [], respond: send("response"), ask: send("request") };
    peer = own;
    socket.on("data", (chunk) => {
      if (scriptedServer.isDeaf) return;
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) hear(own, frame);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  const scriptedServer: Scripted = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    answers,
    get connections() {
      return counts.connections;
    },
    get pings() {
      return counts.pings;
    },
    isDeaf: false,
    get peer() {
      return peer!;
    },
    close,
  };
  closing.push(close);
  return scriptedServer;
}

function clientOf(
  server: Scripted,
  options: { readonly clock?: Clock; readonly tmTimeoutMs?: number; readonly connectWithinMs?: number } = {},
): SeataClient {
  const client = new SeataClient({
    clock: systemClock(),
    random: createRandom(1),
    address: server.address,
    dial: (address) => address,
    application: "test",
    ...options,
  });
  closing.push(() => client.close());
  return client;
}

/** What was written to loopback sockets has been read, and answered. */
async function settledSockets(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
