import { connect, type Socket } from "node:net";

import type { Clock } from "../../ports/clock.ts";
import { TransactionError } from "../../transactions/error.ts";
import { encodeFrame, FrameReader, garbage, seataCodec, type Frame, type FrameKind } from "./frame.ts";
import { decodeMessage, encodeMessage, type Message, type MessageType } from "./message.ts";

/** The server closes a connection that was silent for 15 s, so each side says something every 5 (`NettyBaseConfig`). */
const pingAfterUs = 5_000_000;
const silentUs = 15_000_000;
const noBody = Buffer.alloc(0);

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Where it is dialled: "host:port". */
  readonly target: string;
  /** Time until the socket must be open. */
  readonly connectWithinUs: number;
  readonly onOpen: () => void;
  /** The server asks: answer with the frame's id. */
  readonly onRequest: (message: Message, id: number) => void;
  /** Once, whatever the reason; everything in flight has been rejected. */
  readonly onClosed: (reason: TransactionError) => void;
}

interface Pending {
  readonly type: MessageType;
  readonly resolve: (message: Message) => void;
  readonly reject: (reason: TransactionError) => void;
  readonly disarm: () => void;
}

/**
 * One socket to one coordinator: requests and their answers, matched by number, and requests of the server's. It pings when it was silent
 * for 5 s, and gives up when it heard nothing for 15. Whatever isn't Seata's protocol ends it with a `ProtocolError`.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #heardUs: number;
  #spokeUs: number;
  #disarm: () => void;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    const { clock, target, connectWithinUs } = options;
    this.#options = options;
    this.#heardUs = this.#spokeUs = clock.nowUs();
    const colon = target.lastIndexOf(":");
    const host = target.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    this.#socket = connect({ host, port: Number(target.slice(colon + 1)), noDelay: true });
    this.#disarm = clock.after(connectWithinUs, () => this.#lose(`${target} doesn't answer`));
    this.#socket.on("connect", () => {
      this.#disarm();
      this.#heardUs = this.#spokeUs = clock.nowUs();
      this.#watchSilence();
      options.onOpen();
    });
    this.#socket.on("data", (chunk) => this.#read(chunk));
    this.#socket.on("error", (error) => this.#lose(error.message));
    this.#socket.on("close", () => this.#lose(`${target} hung up`));
  }

  /** Sends a request and resolves with its answer. Rejects `RequestTimeout` when none comes in time, and as the connection ends. */
  request(message: Message, timeoutMs: number): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(lost("the connection is closed"));
      const body = encodeMessage(message);
      const id = (this.#lastId = this.#lastId === 0x7fffffff ? 1 : this.#lastId + 1);
      const disarm = this.#options.clock.after(timeoutMs * 1000, () => {
        this.#pending.delete(id);
        const text = `${message.type} wasn't answered within ${timeoutMs} ms`;
        reject(
          new TransactionError(text, { code: "RequestTimeout", hint: "the coordinator may have done it: ask again" }),
        );
      });
      this.#pending.set(id, { type: message.type, resolve, reject, disarm });
      this.#send("request", id, body);
    });
  }

  /** Answers a request of the server's. Nothing happens when the connection has ended: the server asks again. */
  answer(id: number, message: Message): void {
    if (!this.#isClosed) this.#send("response", id, encodeMessage(message));
  }

  close(reason: TransactionError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disarm();
    this.#socket.destroy();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { disarm, reject } of pending) {
      disarm();
      reject(reason);
    }
    this.#options.onClosed(reason);
  }

  #lose(why: string): void {
    this.close(lost(why));
  }

  #send(kind: FrameKind, id: number, body: Buffer): void {
    this.#spokeUs = this.#options.clock.nowUs();
    this.#socket.write(encodeFrame({ kind, id, codec: seataCodec, body }));
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk);
      for (let frame = this.#frames.next(); frame !== undefined; frame = this.#frames.next()) {
        this.#heardUs = this.#options.clock.nowUs();
        this.#hear(frame);
        if (this.#isClosed) return;
      }
    } catch (error) {
      // What can't be read can't be trusted from here on: another connection begins anew.
      this.close(error instanceof TransactionError ? error : garbage(String(error)));
    }
  }

  #hear({ kind, id, codec, body }: Frame): void {
    if (kind === "pong") return;
    if (kind === "ping") return this.#send("pong", id, noBody);
    if (codec !== seataCodec) throw garbage(`codec ${codec}; set the server's transport.serialization to seata`);
    const message = decodeMessage(body);
    if (kind !== "response") return this.#options.onRequest(message, id);
    const pending = this.#pending.get(id);
    // It was given up.
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.disarm();
    if (message.type === `${pending.type}Response`) return pending.resolve(message);
    const error = garbage(`a ${message.type} in answer to a ${pending.type}`);
    pending.reject(error);
    throw error;
  }

  /** One rolling timer, whatever is said. */
  #watchSilence(): void {
    const { clock } = this.#options;
    const nowUs = clock.nowUs();
    if (nowUs - this.#heardUs >= silentUs) return this.#lose(`nothing was heard for ${silentUs / 1e6} s`);
    if (nowUs - this.#spokeUs >= pingAfterUs) {
      this.#lastId = this.#lastId === 0x7fffffff ? 1 : this.#lastId + 1;
      this.#send("ping", this.#lastId, noBody);
    }
    const untilUs = Math.min(this.#spokeUs + pingAfterUs, this.#heardUs + silentUs);
    this.#disarm = clock.after(Math.max(1_000, untilUs - nowUs), () => this.#watchSilence());
  }
}

export function lost(why: string): TransactionError {
  return new TransactionError(`the connection to the coordinator is lost: ${why}`, {
    code: "ConnectionLost",
    hint: "the coordinator may have done what it was asked: ask again",
  });
}
