import { connect as connectTcp } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

import { noMetadata, type Metadata } from "../../runtime/call/metadata.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { GrpcClientCall, requestBlock, type ClientCallEvents } from "../../runtime/node/grpc/client-call.ts";
import { timeoutHeader, toFields } from "../../runtime/node/grpc/fields.ts";
import { atDeadline } from "../../runtime/node/grpc/status.ts";
import { Http2Session } from "../../runtime/node/http2/session.ts";
import { sessionEvents } from "../../runtime/node/http2/testing.ts";
import { Inbox } from "./inbox.ts";

const clock = systemClock();

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly timeoutMs?: number | undefined;
  /** What is sent is compressed. Default false. */
  readonly isGzip?: boolean;
  /** Of a message that comes. Default 4 MiB. */
  readonly messageBytesMax?: number;
}

/** A connection of our HTTP/2 to somebody's server. */
export class WireClient {
  readonly #session: Http2Session;
  readonly #held = { bytes: 0 };
  readonly #peer: string;
  readonly #isSecure: boolean;

  private constructor(session: Http2Session, peer: string, isSecure: boolean) {
    this.#session = session;
    this.#peer = peer;
    this.#isSecure = isSecure;
  }

  /** Resolves when the server's SETTINGS are there; rejects when the connection ends before. */
  static connect(host: string, port: number, tls?: ConnectionOptions): Promise<WireClient> {
    const socket =
      tls === undefined
        ? connectTcp({ host, port, noDelay: true })
        : connectTls({ host, port, ALPNProtocols: ["h2"], ...tls }).setNoDelay(true);
    return new Promise((resolve, reject) => {
      const events = sessionEvents({
        onReady: () => resolve(new WireClient(session, `${host}:${port}`, tls !== undefined)),
        onClosed: reject,
      });
      const session: Http2Session = new Http2Session(socket, true, { clock }, events);
    });
  }

  call(path: string, options: CallOptions = {}): WireCall {
    return new WireCall(options, (events, fields) => {
      const { messageBytesMax = 4 * 1024 * 1024, isGzip } = options;
      const block = requestBlock({ path, authority: this.#peer, isSecure: this.#isSecure, subtype: undefined });
      const held = this.#held;
      return GrpcClientCall.begin(
        this.#session,
        { block, list: fields },
        { messageBytesMax, sendBytesMax: Infinity, held, peer: this.#peer, isGzip },
        events,
      );
    });
  }

  close(): void {
    this.#session.leave();
  }
}

/** One call of any of gRPC's four kinds, as its caller sees it. */
export class WireCall implements ClientCallEvents {
  /** What the server says before its messages; undefined where it says nothing before its status. */
  readonly headers: Promise<Metadata | undefined>;
  readonly messages: Inbox;
  trailers: Metadata = noMetadata;
  readonly #grpc: GrpcClientCall;
  readonly #deadlineUs: number;
  readonly #disarm: () => void;
  #setHeaders!: (headers: Metadata | undefined) => void;
  #onDrain: (() => void) | undefined;
  #isOver = false;

  constructor(
    { metadata = noMetadata, timeoutMs, isGzip = false }: CallOptions,
    begin: (events: ClientCallEvents, fields: string[]) => GrpcClientCall,
  ) {
    this.#deadlineUs = timeoutMs === undefined ? Infinity : clock.nowUs() + 1000 * timeoutMs;
    this.headers = new Promise((resolve) => (this.#setHeaders = resolve));
    const fields = toFields(metadata);
    if (timeoutMs !== undefined) fields.push("grpc-timeout", timeoutHeader(1000 * timeoutMs));
    if (isGzip) fields.push("grpc-encoding", "gzip");
    this.#grpc = begin(this, fields);
    this.messages = new Inbox(() => this.#grpc.read());
    const expire = (): void => this.#giveUp(new RpcError("the deadline has passed", { code: "DEADLINE_EXCEEDED" }));
    this.#disarm = timeoutMs === undefined ? () => undefined : clock.after(1000 * timeoutMs, expire);
  }

  /** The call has ended: nothing that is sent goes anywhere. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when there is room for more, or the call is over. */
  async send(message: Uint8Array): Promise<void> {
    if (this.#isOver) return;
    this.#grpc.send(message);
    if (!this.#grpc.isWritable) await new Promise<void>((resolve) => (this.#onDrain = resolve));
  }

  /** There are no more messages. */
  end(): void {
    if (!this.#isOver) this.#grpc.end();
  }

  cancel(): void {
    this.#giveUp(new RpcError("its caller cancelled it", { code: "CANCELLED" }));
  }

  /** A call of one message, and one that comes back. */
  async unary(message: Uint8Array): Promise<Buffer> {
    await this.send(message);
    this.end();
    return this.one();
  }

  /** The only message. */
  async one(): Promise<Buffer> {
    const message = await this.messages.next();
    // The protocol's word for one that isn't one ("cardinality violation").
    if (message === undefined) throw new RpcError("no message", { code: "UNIMPLEMENTED" });
    if ((await this.messages.next()) === undefined) return message;
    this.cancel();
    throw new RpcError("more than one message", { code: "UNIMPLEMENTED" });
  }

  onHeaders(metadata: Metadata): void {
    this.#setHeaders(metadata);
  }

  onMessage(message: Buffer): void {
    this.messages.onMessage(message);
  }

  onEnd(error: RpcError | undefined, trailers: Metadata): void {
    this.trailers = error?.trailers ?? trailers;
    this.#over(error && atDeadline(error, this.#deadlineUs - clock.nowUs()));
  }

  onDrain(): void {
    this.#onDrain?.();
  }

  #giveUp(error: RpcError): void {
    if (this.#isOver) return;
    this.#grpc.cancel();
    this.#over(error);
  }

  #over(error: RpcError | undefined): void {
    this.#isOver = true;
    this.#disarm();
    this.#setHeaders(undefined);
    this.messages.onEnd(error);
    this.#onDrain?.();
  }
}
