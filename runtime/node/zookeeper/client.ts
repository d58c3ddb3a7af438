import { createBackoff } from "../../call/backoff.ts";
import { RpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import { Connection, requestBytesMax } from "./connection.ts";
import { JuteWriter, type JuteReader } from "./jute.ts";
import {
  errorOf,
  eventType,
  isReason,
  newSession,
  opcode,
  readFailedChange,
  readStat,
  writeCreate,
  writeMulti,
  ZooKeeperError,
  type Change,
  type ConnectResponse,
  type SessionId,
  type Stat,
  type WatcherEvent,
} from "./protocol.ts";

export interface ZooKeeperOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** "host:port" each; one is used at a time, in an order of this client's own. */
  readonly servers: readonly string[];
  /** Where an address is really dialled; asked for each new connection. */
  readonly dial: (address: string) => string;
  /** Everything that this client sees lies below this path: "" or "/one/two". It is made when the first node is. */
  readonly chroot: string;
  /** The server makes it at least 2 and at most 20 ticks of its own (default tick 2 s). */
  readonly sessionTimeoutMs: number;
  /** Hears "suspended" with each try that fails. */
  readonly onState: (state: "connected" | "suspended" | "expired", trouble?: string) => void;
}

/** Called once, when what was read has changed; not when the session ends, for then `onSession` is. */
export type Watcher = (path: string) => void;

/**
 * A session with ZooKeeper that lasts: one connection after the other, one session after the other, until `close`.
 *
 * Written for Flyball rather than taken from npm. node-zookeeper-client 1.1.3, the one that needs no compiler, was read and left:
 * it never notices a server that falls silent (its read timeout is commented out), stays in `EXPIRED` for ever, connects to a
 * list that is fixed at the start (links can't be laid anew), buffers whatever length a frame claims, doesn't tell a reply's
 * zxid, from which versions come here, and has its own clock and chance. What is needed of the protocol is these few files.
 *
 * - A lost connection is not a lost session: the state is `suspended`, requests in flight fail (done or not, nobody knows), and
 *   another connection takes the session up again, with all its watches.
 * - Only a server can say that a session has expired. Then a new one is opened at once; watches are gone, and `onSession` tells.
 * - Reconnecting waits 50 to 100 ms at first and up to 1 s later, drawn at random, so that a fleet doesn't come back in one moment.
 * - A server refuses clients that have seen a later state than its own. When every server refuses for that reason, this client
 *   forgets what it has seen: servers that lost their data are met with a new session, and `versionOf` goes on growing.
 */
export class ZooKeeperClient {
  readonly #options: ZooKeeperOptions;
  readonly #backoff;
  readonly #servers: readonly string[];
  readonly #watchers = { data: new WatcherTable(), exist: new WatcherTable(), child: new WatcherTable() };
  readonly #waiting = new Set<() => void>();
  readonly #listeners = new Set<() => void>();
  #connection: Connection | undefined;
  /** The connection has taken up the session. */
  #isConnected = false;
  #session: SessionId = newSession;
  #timeoutMs: number;
  #lastZxid = 0n;
  #versionBase = 0;
  #losses = 0;
  /** Servers that were reached and hung up before they took up the session, one after the other. */
  #refusals = 0;
  #tries = 0;
  #sessions = 0;
  #disarm: () => void = () => undefined;
  #isClosed = false;

  constructor(options: ZooKeeperOptions) {
    const { random, servers, sessionTimeoutMs } = options;
    this.#options = options;
    this.#timeoutMs = sessionTimeoutMs;
    this.#servers = shuffled(servers, random.fork("servers"));
    this.#backoff = createBackoff(random.fork("reconnect"));
    this.#connect();
  }

  /** The present session; undefined while there is no connection. */
  get session(): SessionId | undefined {
    return this.#isConnected ? this.#session : undefined;
  }

  /** How many sessions there were so far. */
  get sessions(): number {
    return this.#sessions;
  }

  /** As the server granted it; before that, as wished. */
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** This end's address: what a server sees. */
  get localAddress(): string {
    return this.#connection?.localAddress ?? "127.0.0.1";
  }

  /** How often the servers lost their data: what was there before and isn't now may have been forgotten rather than deleted. */
  get losses(): number {
    return this.#losses;
  }

  /** A change's number as a version: it grows with each change, even when the servers lost their data. */
  versionOf(zxid: bigint): number {
    return this.#versionBase + Number(zxid);
  }

  /** Calls `listener` whenever a new session has been opened: nothing is registered in it or watched. Answers how to stop that. */
  onSession(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when there is a connection; rejects when there is none within two thirds of the timeout, or after `close`. */
  connected(): Promise<void> {
    if (this.#isConnected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting.delete(settle);
        disarm();
        if (this.#isConnected) resolve();
        else reject(this.#isClosed ? closed() : away(this.#options.servers));
      };
      const disarm = this.#options.clock.after(Math.ceil((this.#timeoutMs * 2000) / 3), settle);
      this.#waiting.add(settle);
      if (this.#isClosed) settle();
    });
  }

  /** Rejects with UNAVAILABLE after two thirds of the timeout, in which a lost connection would have been noticed. */
  async inTime<T>(work: Promise<T>): Promise<T> {
    let disarm = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      disarm = this.#options.clock.after(Math.ceil((this.#timeoutMs * 2000) / 3), () => reject(tooLate()));
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      disarm();
    }
  }

  /** Rejects with `no-node` where its parent is missing. Answers the change's number. */
  async create(path: string, data: Uint8Array, { isEphemeral = false } = {}): Promise<Stat> {
    return this.#request(
      opcode.create2,
      `create ${path}`,
      (writer) => writeCreate(writer, this.#absolute(path), data, isEphemeral),
      (reader) => {
        reader.text();
        return readStat(reader);
      },
    );
  }

  /** Answers the number of the change. */
  async delete(path: string, version = -1): Promise<bigint> {
    return this.#request(
      opcode.delete,
      `delete ${path}`,
      (writer) => writer.text(this.#absolute(path)).int(version),
      (_, zxid) => zxid,
    );
  }

  /** Undefined where there is no node; the watcher waits for one then. */
  async exists(path: string, watcher?: Watcher): Promise<Stat | undefined> {
    const absolute = this.#absolute(path);
    return this.#request(
      opcode.exists,
      `exists ${path}`,
      (writer) => writer.text(absolute).bool(watcher !== undefined),
      (reader) => {
        this.#watchers.data.add(absolute, watcher);
        return readStat(reader);
      },
      (error) => {
        if (error.reason !== "no-node") throw error;
        this.#watchers.exist.add(absolute, watcher);
        return undefined;
      },
    );
  }

  async getData(path: string, watcher?: Watcher): Promise<{ readonly data: Buffer; readonly stat: Stat }> {
    const absolute = this.#absolute(path);
    return this.#request(
      opcode.getData,
      `read ${path}`,
      (writer) => writer.text(absolute).bool(watcher !== undefined),
      (reader) => {
        this.#watchers.data.add(absolute, watcher);
        return { data: reader.buffer(), stat: readStat(reader) };
      },
    );
  }

  async setData(path: string, data: Uint8Array, version = -1): Promise<Stat> {
    return this.#request(
      opcode.setData,
      `write ${path}`,
      (writer) => writer.text(this.#absolute(path)).buffer(data).int(version),
      readStat,
    );
  }

  async getChildren(
    path: string,
    watcher?: Watcher,
  ): Promise<{ readonly names: readonly string[]; readonly stat: Stat }> {
    const absolute = this.#absolute(path);
    return this.#request(
      opcode.getChildren2,
      `list ${path}`,
      (writer) => writer.text(absolute).bool(watcher !== undefined),
      (reader) => {
        this.#watchers.child.add(absolute, watcher);
        return { names: reader.texts(), stat: readStat(reader) };
      },
    );
  }

  /** All of the changes or none. Rejects with the error of the first that can't be made, and its `index`. */
  async multi(changes: readonly Change[]): Promise<void> {
    const what = changes.map(({ type, path }) => `${type} ${path}`).join(", ");
    const absolute = changes.map((change) => ({ ...change, path: this.#absolute(change.path) }));
    return this.#request(
      opcode.multi,
      what,
      (writer) => writeMulti(writer, absolute),
      (reader) => {
        const failed = readFailedChange(reader);
        if (failed === undefined) return;
        const { type, path } = changes[failed.index]!;
        throw errorOf(failed.error, `${type} ${path}`);
      },
    );
  }

  /**
   * The number of the latest change that the server knows: whatever is read after this, on the same connection, is at least as
   * new.
   */
  async zxid(): Promise<bigint> {
    return this.#request(
      opcode.exists,
      "ask for the state",
      (writer) => writer.text(this.#absolute("/")).bool(false),
      (_, zxid) => zxid,
      (error, zxid) => {
        if (error.reason !== "no-node") throw error;
        return zxid;
      },
    );
  }

  /** Makes a path of persistent nodes, chroot included; those that are there stay. */
  async makePath(path: string): Promise<void> {
    if (path === "") return;
    const exists = await this.exists(path);
    if (exists !== undefined) return;
    const segments = this.#absolute(path).split("/").slice(1);
    const { length } = this.#options.chroot;
    for (let depth = 1; depth <= segments.length; depth++) {
      const absolute = `/${segments.slice(0, depth).join("/")}`;
      await this.#create(absolute, absolute.slice(length)).catch((error: unknown) => {
        if (!isReason(error, "node-exists")) throw error;
      });
    }
  }

  /** Forgets a watcher; its event, if it comes, is dropped. */
  forget(watcher: Watcher): void {
    for (const table of Object.values(this.#watchers)) table.forget(watcher);
  }

  /**
   * Ends the session from another connection, which takes it up by its id and password and closes it: this client learns of it as of
   * any expiry, when it comes back with a session that no server knows. Rejects where there is no session, or no server takes it up.
   */
  async expire(): Promise<void> {
    const { session } = this;
    if (session === undefined) throw away(this.#options.servers);
    const { clock, dial } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const other = new Connection({
        clock,
        target: dial(this.#servers[(this.#tries - 1) % this.#servers.length]!),
        session,
        timeoutMs: this.#timeoutMs,
        lastZxid: this.#lastZxid,
        connectWithinUs: this.#timeoutMs * 1000,
        onSession: ({ timeoutMs }) => {
          if (timeoutMs <= 0) return other.close();
          other.request(
            opcode.closeSession,
            "close the session",
            () => undefined,
            (error) => {
              if (error === undefined) resolve();
              other.close();
            },
          );
        },
        onZxid: () => undefined,
        onEvent: () => undefined,
        onClosed: () => reject(away(this.#options.servers)),
      });
    });
  }

  /** Ends the session: its ephemeral nodes disappear at once, if a server can be told. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disarm();
    for (const settle of [...this.#waiting]) settle();
    const connection = this.#connection;
    if (connection === undefined) return;
    if (this.#isConnected) {
      const { clock } = this.#options;
      await new Promise<void>((resolve) => {
        const disarm = clock.after(Math.min(1_000_000, Math.ceil((this.#timeoutMs * 1000) / 3)), resolve);
        connection.request(
          opcode.closeSession,
          "close the session",
          () => undefined,
          () => {
            disarm();
            resolve();
          },
        );
      });
    }
    this.#isConnected = false;
    connection.close();
  }

  async #create(absolute: string, path: string): Promise<void> {
    return this.#request(
      opcode.create,
      `create ${path === "" ? absolute : path}`,
      (writer) => writeCreate(writer, absolute, new Uint8Array(), false),
      () => undefined,
    );
  }

  #absolute(path: string): string {
    return this.#options.chroot === "" ? path : path === "/" ? this.#options.chroot : this.#options.chroot + path;
  }

  async #request<T>(
    type: number,
    what: string,
    write: (writer: JuteWriter) => void,
    onReply: (reader: JuteReader, zxid: bigint) => T,
    onError?: (error: ZooKeeperError, zxid: bigint) => T,
  ): Promise<T> {
    // Every request waits a moment for a connection, but the order of those that have one is kept.
    if (!this.#isConnected) await this.connected();
    const connection = this.#connection;
    if (connection === undefined || this.#isClosed) throw closed();
    const payload = new JuteWriter();
    write(payload);
    if (payload.length + 8 > requestBytesMax) {
      throw new RpcError(`${payload.length} bytes are too many for ZooKeeper (${what.slice(0, 200)})`, {
        code: "INVALID_ARGUMENT",
        hint: `at most ${requestBytesMax}, the path included: the servers' jute.maxbuffer`,
      });
    }
    return new Promise<T>((resolve, reject) => {
      connection.request(type, what, write, (error, reader, zxid) => {
        try {
          if (error === undefined) resolve(onReply(reader, zxid));
          else if (onError !== undefined) resolve(onError(error, zxid));
          else reject(error);
        } catch (thrown) {
          // A refusal is an answer; a reply that can't be read is none, and ends the connection.
          if (thrown instanceof ZooKeeperError) return reject(thrown);
          reject(new ZooKeeperError("connection-loss", what));
          throw thrown;
        }
      });
    });
  }

  #connect(): void {
    const { clock, dial } = this.#options;
    const server = this.#servers[this.#tries++ % this.#servers.length]!;
    const lastZxid = this.#refusals >= refusalsMax * this.#servers.length ? 0n : this.#lastZxid;
    const connection = new Connection({
      clock,
      target: dial(server),
      session: this.#session,
      timeoutMs: this.#options.sessionTimeoutMs,
      lastZxid,
      connectWithinUs: Math.max(100_000, Math.ceil((this.#timeoutMs * 1000) / this.#servers.length)),
      onSession: (response) => this.#takenUp(response, lastZxid),
      onZxid: (zxid) => {
        if (zxid > this.#lastZxid) this.#lastZxid = zxid;
      },
      onEvent: (event) => this.#fire(event),
      onClosed: ({ wasRefused, why }) => {
        if (wasRefused) this.#refusals++;
        this.#lost(`ZooKeeper at ${server}: ${why}`);
      },
    });
    this.#connection = connection;
  }

  #takenUp({ timeoutMs, session }: ConnectResponse, lastZxid: bigint): void {
    this.#refusals = 0;
    if (timeoutMs <= 0) {
      this.#expired(lastZxid);
      return;
    }
    const isNew = this.#session.id === 0n;
    this.#session = session;
    this.#timeoutMs = timeoutMs;
    this.#isConnected = true;
    this.#backoff.reset();
    if (isNew) this.#sessions++;
    else this.#watchAgain(lastZxid);
    this.#options.onState("connected");
    for (const settle of [...this.#waiting]) settle();
    if (isNew) for (const listener of [...this.#listeners]) listener();
  }

  #expired(lastZxid: bigint): void {
    if (lastZxid < this.#lastZxid) {
      // Nobody remembers what was seen before: the servers begin anew, and versions must go on.
      this.#versionBase += Number(this.#lastZxid) + 1;
      this.#losses++;
      this.#lastZxid = 0n;
    }
    this.#session = newSession;
    for (const table of Object.values(this.#watchers)) table.clear();
    this.#options.onState("expired");
    this.#connection?.close();
  }

  #lost(why: string): void {
    this.#isConnected = false;
    this.#connection = undefined;
    if (this.#isClosed) return;
    this.#options.onState("suspended", why);
    this.#disarm = this.#options.clock.after(this.#backoff.nextUs(), () => this.#connect());
  }

  /** In portions, so that no request is too large for a server. */
  #watchAgain(lastZxid: bigint): void {
    let portion = { data: [] as string[], exist: [] as string[], child: [] as string[] };
    let bytes = 0;
    const send = (): void => {
      if (bytes > 0) this.#connection?.setWatches(lastZxid, portion);
      portion = { data: [], exist: [], child: [] };
      bytes = 0;
    };
    for (const kind of ["data", "exist", "child"] as const) {
      for (const path of this.#watchers[kind].paths()) {
        portion[kind].push(path);
        bytes += 4 + 3 * path.length;
        if (bytes > 100_000) send();
      }
    }
    send();
  }

  #fire({ type, path }: WatcherEvent): void {
    const { data, exist, child } = this.#watchers;
    const tables = {
      [eventType.created]: [data, exist],
      [eventType.dataChanged]: [data, exist],
      [eventType.deleted]: [data, exist, child],
      [eventType.childrenChanged]: [child],
    }[type];
    const watchers = new Set((tables ?? []).flatMap((table) => table.take(path)));
    const { chroot } = this.#options;
    for (const watcher of watchers) watcher(path.slice(chroot.length) || "/");
  }
}

/** So often is each server asked before what was seen is forgotten: a server that starts up refuses for a while, too. */
const refusalsMax = 3;

const closed = (): RpcError => new RpcError("the ZooKeeper client was closed", { code: "CANCELLED" });

const tooLate = (): RpcError =>
  new RpcError("ZooKeeper didn't answer in time", {
    code: "UNAVAILABLE",
    hint: "a write may or may not have been done; read it back",
  });

const away = (servers: readonly string[]): RpcError =>
  new RpcError(`no ZooKeeper server can be reached (${servers.join(", ")})`, {
    code: "UNAVAILABLE",
    hint: "is it running there, and is its address right?",
  });

/** Watchers by path. */
class WatcherTable {
  readonly #byPath = new Map<string, Set<Watcher>>();

  paths(): Iterable<string> {
    return this.#byPath.keys();
  }

  add(path: string, watcher: Watcher | undefined): void {
    if (watcher === undefined) return;
    const known = this.#byPath.get(path);
    if (known === undefined) this.#byPath.set(path, new Set([watcher]));
    else known.add(watcher);
  }

  take(path: string): readonly Watcher[] {
    const watchers = this.#byPath.get(path);
    this.#byPath.delete(path);
    return watchers === undefined ? [] : [...watchers];
  }

  forget(watcher: Watcher): void {
    for (const [path, watchers] of this.#byPath) {
      if (watchers.delete(watcher) && watchers.size === 0) this.#byPath.delete(path);
    }
  }

  clear(): void {
    this.#byPath.clear();
  }
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const draw = random.below(last + 1);
    [mixed[last], mixed[draw]] = [mixed[draw]!, mixed[last]!];
  }
  return mixed;
}
