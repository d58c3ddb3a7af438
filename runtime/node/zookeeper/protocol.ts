import { RpcError, type RpcCode } from "../../call/status.ts";
import { JuteReader, JuteWriter } from "./jute.ts";

/** Operations by their number on the wire (ZooDefs.OpCode). */
export const opcode = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  ping: 11,
  getChildren2: 12,
  multi: 14,
  create2: 15,
  setWatches: 101,
  closeSession: -11,
} as const;

/** Transaction ids that don't belong to a request. */
export const specialXid = { event: -1, ping: -2, setWatches: -8 } as const;

/** What changed (Watcher.Event.EventType). */
export const eventType = { created: 1, deleted: 2, dataChanged: 3, childrenChanged: 4 } as const;

/** `connection-loss`: whether it was done isn't known. */
export type ZooKeeperCode =
  | "connection-loss"
  | "no-node"
  | "no-auth"
  | "bad-version"
  | "no-children-for-ephemerals"
  | "node-exists"
  | "not-empty"
  | "session-expired"
  | "session-moved"
  | "rolled-back"
  | "other";

/** Errors by their number on the wire (KeeperException.Code). */
const codes = new Map<number, ZooKeeperCode>([
  [-2, "rolled-back"],
  [-4, "connection-loss"],
  [-101, "no-node"],
  [-102, "no-auth"],
  [-103, "bad-version"],
  [-108, "no-children-for-ephemerals"],
  [-110, "node-exists"],
  [-111, "not-empty"],
  [-112, "session-expired"],
  [-118, "session-moved"],
]);

const rpcCodes: Readonly<Record<ZooKeeperCode, Exclude<RpcCode, "OK">>> = {
  "connection-loss": "UNAVAILABLE",
  "no-node": "NOT_FOUND",
  "no-auth": "PERMISSION_DENIED",
  "bad-version": "ABORTED",
  "no-children-for-ephemerals": "FAILED_PRECONDITION",
  "node-exists": "ALREADY_EXISTS",
  "not-empty": "FAILED_PRECONDITION",
  "session-expired": "UNAVAILABLE",
  "session-moved": "UNAVAILABLE",
  "rolled-back": "ABORTED",
  other: "INTERNAL",
};

/** ZooKeeper refused, or can't be reached. Branch on `reason`; `code` is what callers of the ports see. */
export class ZooKeeperError extends RpcError {
  readonly reason: ZooKeeperCode;

  constructor(reason: ZooKeeperCode, what: string) {
    super(`ZooKeeper: ${reason.replaceAll("-", " ")} (${what})`, {
      code: rpcCodes[reason],
      hint: hints[reason],
    });
    this.reason = reason;
  }
}

const hints: Partial<Record<ZooKeeperCode, string>> = {
  "connection-loss": "a write may or may not have been done; read it back",
  "no-auth": "the node's ACL refuses this client",
};

export const errorOf = (number: number, what: string): ZooKeeperError =>
  new ZooKeeperError(codes.get(number) ?? "other", codes.has(number) ? what : `error ${number}, ${what}`);

/** Whether `error` is ZooKeeper's `reason`. */
export const isReason = (error: unknown, ...reasons: readonly ZooKeeperCode[]): boolean =>
  error instanceof ZooKeeperError && reasons.includes(error.reason);

/** About a node. A zxid numbers a change of the whole tree: it only grows, while `version` begins anew with each node. */
export interface Stat {
  /** The change that made the node. */
  readonly czxid: bigint;
  /** The last change of its data. */
  readonly mzxid: bigint;
  /** When the node was made, by the server's clock, in milliseconds since 1970. */
  readonly ctimeMs: number;
  readonly version: number;
  /** The session that it lives with; 0 for a persistent node. */
  readonly ephemeralOwner: bigint;
  /** The last change of its list of children. */
  readonly pzxid: bigint;
}

export function readStat(reader: JuteReader): Stat {
  const czxid = reader.long();
  const mzxid = reader.long();
  const ctimeMs = Number(reader.long());
  reader.long(); // mtime
  const version = reader.int();
  reader.int(); // cversion
  reader.int(); // aversion
  const ephemeralOwner = reader.long();
  reader.int(); // dataLength
  reader.int(); // numChildren
  const pzxid = reader.long();
  return { czxid, mzxid, ctimeMs, version, ephemeralOwner, pzxid };
}

export interface ReplyHeader {
  readonly xid: number;
  /** The latest change that the server had seen. */
  readonly zxid: bigint;
  readonly error: number;
}

export const readReplyHeader = (reader: JuteReader): ReplyHeader => ({
  xid: reader.int(),
  zxid: reader.long(),
  error: reader.int(),
});

export interface WatcherEvent {
  readonly type: number;
  readonly path: string;
}

export function readEvent(reader: JuteReader): WatcherEvent {
  const type = reader.int();
  reader.int(); // state
  return { type, path: reader.text() };
}

/** Who a session is. A new one has the id 0. */
export interface SessionId {
  readonly id: bigint;
  readonly password: Uint8Array;
}

export const newSession: SessionId = { id: 0n, password: new Uint8Array(16) };

export function connectRequest(session: SessionId, timeoutMs: number, lastZxid: bigint): Buffer {
  return new JuteWriter()
    .int(0)
    .long(lastZxid)
    .int(timeoutMs)
    .long(session.id)
    .buffer(session.password)
    .bool(false)
    .frame();
}

export interface ConnectResponse {
  /** 0 or less: the session has expired. */
  readonly timeoutMs: number;
  readonly session: SessionId;
}

export function readConnectResponse(reader: JuteReader): ConnectResponse {
  reader.int(); // protocol version
  const timeoutMs = reader.int();
  const id = reader.long();
  // A copy: what was read is part of a larger buffer.
  return { timeoutMs, session: { id, password: Uint8Array.from(reader.buffer()) } };
}

/** One step of a transaction. */
export type Change =
  | { readonly type: "create"; readonly path: string; readonly data: Uint8Array; readonly isEphemeral: boolean }
  | { readonly type: "delete"; readonly path: string; readonly version?: number };

export function writeCreate(writer: JuteWriter, path: string, data: Uint8Array, isEphemeral: boolean): JuteWriter {
  writer.text(path).buffer(data);
  // One entry of the access control list: everybody (world:anyone) may do everything, as Dubbo's nodes allow.
  writer.int(1).int(31).text("world").text("anyone");
  return writer.int(isEphemeral ? 1 : 0);
}

export function writeMulti(writer: JuteWriter, changes: readonly Change[]): JuteWriter {
  for (const change of changes) {
    writer.int(opcode[change.type]).bool(false).int(-1);
    if (change.type === "create") writeCreate(writer, change.path, change.data, change.isEphemeral);
    else writer.text(change.path).int(change.version ?? -1);
  }
  return writer.int(-1).bool(true).int(-1);
}

/** The step of a transaction that failed, with its error; undefined when every one was done. */
export function readFailedChange(reader: JuteReader): { readonly index: number; readonly error: number } | undefined {
  for (let index = 0; ; index++) {
    const type = reader.int();
    const isDone = reader.bool();
    const error = reader.int();
    if (isDone) return undefined;
    if (type === opcode.create) reader.text();
    if (type !== -1) continue;
    const told = reader.int();
    // The steps before the one that failed were rolled back (0), those behind it weren't tried (-2).
    if (told !== 0 && told !== -2) return { index, error: told };
    if (error !== 0 && error !== -2) return { index, error };
  }
}
