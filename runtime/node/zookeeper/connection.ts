import { connect, type Socket } from "node:net";

import type { Clock } from "../../ports/clock.ts";
import { JuteReader, JuteWriter } from "./jute.ts";
import {
  connectRequest,
  errorOf,
  opcode,
  readConnectResponse,
  readEvent,
  readReplyHeader,
  specialXid,
  ZooKeeperError,
  type ConnectResponse,
  type SessionId,
  type WatcherEvent,
} from "./protocol.ts";

/** A larger frame from the server is a lie, or a list that nobody should have. */
const frameBytesMax = 16 * 1024 * 1024;

/** The servers' default `jute.maxbuffer` (0xfffff): they hang up on a larger request. */
export const requestBytesMax = 1024 * 1024 - 1;

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Where it is dialled: "host:port". */
  readonly target: string;
  readonly session: SessionId;
  /** The timeout to ask for. */
  readonly timeoutMs: number;
  readonly lastZxid: bigint;
  /** Time until the server must have taken up the session. */
  readonly connectWithinUs: number;
  readonly onSession: (response: ConnectResponse) => void;
  /** A reply, or an event, told how far the server had come. */
  readonly onZxid: (zxid: bigint) => void;
  readonly onEvent: (event: WatcherEvent) => void;
  /**
   * Once, whatever the reason; every request in flight has been rejected. `wasRefused`: the server hung up instead of taking up
   * the session; one that was only silent has refused nothing. `why` is for people.
   */
  readonly onClosed: (how: { readonly wasRefused: boolean; readonly why: string }) => void;
}

interface Pending {
  readonly xid: number;
  readonly what: string;
  /** Called before anything that came later is looked at. */
  readonly onReply: (error: ZooKeeperError | undefined, reader: JuteReader, zxid: bigint) => void;
}

/**
 * One socket to one server. Replies come in the order of their requests. It says "ping" when it was silent for a third of the
 * session's timeout T, and gives up when it heard no whole frame for two thirds: a half-open connection is noticed before the
 * session expires (as the Java client does).
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  #pending: Pending[] = [];
  #answered = 0;
  #lastXid = 0;
  #timeoutUs: number | undefined;
  #heardUs: number;
  #spokeUs: number;
  #disarm: () => void;
  #wasReached = false;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    const { clock, target, session, timeoutMs, lastZxid, connectWithinUs } = options;
    this.#options = options;
    this.#heardUs = this.#spokeUs = clock.nowUs();
    const colon = target.lastIndexOf(":");
    const host = target.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    this.#socket = connect({ host, port: Number(target.slice(colon + 1)), noDelay: true });
    this.#disarm = clock.after(connectWithinUs, () => this.close("it took up no session in time"));
    this.#socket.on("connect", () => {
      this.#wasReached = true;
      this.#socket.write(connectRequest(session, timeoutMs, lastZxid));
    });
    this.#socket.on("data", (chunk) => this.#read(chunk));
    this.#socket.on("error", ({ message }) => this.#hungUp(message));
    this.#socket.on("close", () => this.#hungUp("it hung up"));
  }

  /** The address of this end. */
  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  /** Sends a request; the session must have been taken up. `onReply` is called once. */
  request(type: number, what: string, write: (writer: JuteWriter) => void, onReply: Pending["onReply"]): void {
    if (this.#isClosed) return onReply(new ZooKeeperError("connection-loss", what), noBytes, 0n);
    this.#lastXid = this.#lastXid === 0x7fffffff ? 1 : this.#lastXid + 1;
    const writer = new JuteWriter().int(this.#lastXid).int(type);
    write(writer);
    this.#pending.push({ xid: this.#lastXid, what, onReply });
    this.#send(writer.frame());
  }

  /** Sends `setWatches`: whatever changed since `lastZxid` is told as events, and the rest is watched again. */
  setWatches(lastZxid: bigint, watches: { data: string[]; exist: string[]; child: string[] }): void {
    const writer = new JuteWriter().int(specialXid.setWatches).int(opcode.setWatches).long(lastZxid);
    this.#send(writer.texts(watches.data).texts(watches.exist).texts(watches.child).frame());
  }

  close(why = "the connection was closed"): void {
    this.#close({ wasRefused: false, why });
  }

  #hungUp(why: string): void {
    this.#close({ wasRefused: this.#wasReached && this.#timeoutUs === undefined, why });
  }

  #close(how: Parameters<ConnectionOptions["onClosed"]>[0]): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disarm();
    this.#socket.destroy();
    const left = this.#pending.slice(this.#answered);
    this.#pending = [];
    this.#answered = 0;
    for (const { what, onReply } of left) onReply(new ZooKeeperError("connection-loss", what), noBytes, 0n);
    this.#options.onClosed(how);
  }

  #send(frame: Buffer): void {
    this.#spokeUs = this.#options.clock.nowUs();
    this.#socket.write(frame);
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk);
      for (let frame = this.#frames.next(); frame !== undefined; frame = this.#frames.next()) {
        this.#heardUs = this.#options.clock.nowUs();
        if (this.#timeoutUs === undefined) this.#takeUp(frame);
        else this.#hear(frame);
        if (this.#isClosed) return;
      }
    } catch {
      // What can't be read can't be trusted from here on: another connection begins anew.
      this.close("it says what ZooKeeper never would");
    }
  }

  #takeUp(frame: Buffer): void {
    const response = readConnectResponse(new JuteReader(frame));
    this.#timeoutUs = Math.max(1, response.timeoutMs) * 1000;
    this.#disarm();
    this.#watchSilence();
    this.#options.onSession(response);
  }

  #hear(frame: Buffer): void {
    const reader = new JuteReader(frame);
    const { xid, zxid, error } = readReplyHeader(reader);
    if (xid === specialXid.event) return this.#options.onEvent(readEvent(reader));
    if (zxid > 0n) this.#options.onZxid(zxid);
    if (xid === specialXid.ping || xid === specialXid.setWatches) return;
    const pending = this.#pending[this.#answered];
    // An answer to what wasn't asked: see `#read`.
    if (pending === undefined || pending.xid !== xid) return this.close("it answered what wasn't asked");
    this.#answered++;
    if (this.#answered === this.#pending.length) {
      this.#pending = [];
      this.#answered = 0;
    }
    pending.onReply(error === 0 ? undefined : errorOf(error, pending.what), reader, zxid);
    // The session is gone, or lives elsewhere: only another connection tells.
    if (error === -112 || error === -118) this.close("it doesn't know the session any more");
  }

  /** One rolling timer, whatever is said. */
  #watchSilence(): void {
    const { clock } = this.#options;
    const nowUs = clock.nowUs();
    const thirdUs = this.#timeoutUs! / 3;
    if (nowUs - this.#heardUs >= 2 * thirdUs) return this.close("it was silent for too long");
    if (nowUs - this.#spokeUs >= thirdUs) {
      this.#send(new JuteWriter().int(specialXid.ping).int(opcode.ping).frame());
    }
    const untilUs = Math.min(this.#spokeUs + thirdUs, this.#heardUs + 2 * thirdUs);
    this.#disarm = clock.after(Math.max(1_000, Math.ceil(untilUs - nowUs)), () => this.#watchSilence());
  }
}

const noBytes = new JuteReader(Buffer.alloc(0));

/** Cuts what comes into frames; holds no more than one frame and a chunk. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next whole frame's content. Throws when its length is impossible. */
  next(): Buffer | undefined {
    if (this.#bytes < 4) return undefined;
    if (this.#chunks[0]!.length < 4) this.#join();
    const length = this.#chunks[0]!.readInt32BE();
    if (length < 0 || length > frameBytesMax) throw new RangeError(`a frame of ${length} bytes`);
    if (this.#bytes < 4 + length) return undefined;
    this.#join();
    const all = this.#chunks[0]!;
    this.#bytes -= 4 + length;
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(4 + length)];
    return all.subarray(4, 4 + length);
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)];
  }
}
