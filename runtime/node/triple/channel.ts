import type { Call, Cancellable } from "../../call/call.ts";
import type { Metadata } from "../../call/metadata.ts";
import { givesStream, replyFrom, takesStream, type Method } from "../../call/service.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { StreamSender, type StreamSink } from "../../call/stream-sender.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Response } from "../../ports/transport.ts";
import { splitAddress } from "../address.ts";
import { GrpcClientCall, requestBlock, type ClientCallEvents } from "../grpc/client-call.ts";
import { bytesOf, outgoing, within, type Held, type OutgoingMessage } from "../grpc/messages.ts";
import { atDeadline } from "../grpc/status.ts";
import { errorCodes } from "../http2/errors.ts";
import { Http2Session } from "../http2/session.ts";
import { Reconnecting, type ConnectionLife, type KeptConnection } from "../reconnecting.ts";
import { connectTo, tlsTrouble, type TlsIdentity } from "../tls.ts";
import { unavailable } from "../unavailable.ts";
import { RequestFields } from "./request-fields.ts";
import { StreamReader } from "./stream-reader.ts";

export interface TripleChannelOptions {
  readonly messageBytesMax: number;
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number };
  readonly keepalive: { readonly idleMs: number; readonly timeoutMs: number };
  readonly clock: Clock;
  readonly tls: TlsIdentity | undefined;
}

/** An attempt that takes longer has failed: until the server's SETTINGS are there, for what accepts may still be no server. gRPC's. */
const connectWithinUs = 20_000_000;

/** What a server says that finds a client's keepalive too eager (gRFC A8). */
const tooManyPings = "too_many_pings";
/** What every server allows that isn't told otherwise: a ping in five minutes (gRFC A8). */
const allowedIdleMs = 300_000;

/** The way to one address, over HTTP/2. */
export class TripleChannel {
  /** The address that is dialled. */
  readonly target: string;
  readonly #options: TripleChannelOptions;
  /** Of the next connection. */
  #keepalive: TripleChannelOptions["keepalive"];
  readonly #connections: Reconnecting<TripleConnection>;
  /** What is the same in all requests of a method. */
  readonly #fields = new Map<Method<unknown, unknown>, RequestFields>();

  constructor(address: string, target: string, options: TripleChannelOptions) {
    this.target = target;
    this.#options = options;
    this.#keepalive = options.keepalive;
    const { clock, reconnect } = options;
    const connect = (life: ConnectionLife): TripleConnection => {
      const keepalive = this.#keepalive;
      const onTooManyPings = (): void => {
        this.#keepalive = { ...keepalive, idleMs: Math.max(2 * keepalive.idleMs, allowedIdleMs) };
      };
      return new TripleConnection({ address, target }, { ...options, keepalive }, { ...life, onTooManyPings });
    };
    this.#connections = new Reconnecting({ address, clock, reconnect, connect });
  }

  /** Throws what can't be sent, and UNAVAILABLE while the peer refuses. */
  invoke(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    const one = new TripleCall({ method, call, fields: this.#fieldsOf(method) }, request, this.#options);
    const connection = this.#connections.take();
    call.attach(one);
    if (!one.isOver) connection.start(one);
    return one.response;
  }

  retire(onGone: () => void): void {
    this.#connections.retire(onGone);
  }

  close(): void {
    this.#connections.close();
  }

  #fieldsOf(method: Method<unknown, unknown>): RequestFields {
    let fields = this.#fields.get(method);
    if (fields === undefined) {
      const { tls } = this.#options;
      const block = requestBlock({
        path: method.path,
        authority: tls?.serverName ?? this.target,
        isSecure: tls !== undefined,
        subtype: method.isCodecChosen === true ? method.codecName : undefined,
      });
      this.#fields.set(method, (fields = new RequestFields(block)));
    }
    return fields;
  }
}

interface TripleLife extends ConnectionLife {
  readonly onTooManyPings: () => void;
}

/** One connection of a client's, and the calls that wait for it: until the server is there, and while it takes no more at a time. */
class TripleConnection implements KeptConnection {
  readonly #address: string;
  readonly #session: Http2Session;
  readonly #waiting = new Set<TripleCall>();
  readonly #held: Held = { bytes: 0 };
  readonly #life: TripleLife;
  #isLeaving = false;

  constructor(way: { address: string; target: string }, options: TripleChannelOptions, life: TripleLife) {
    const { clock, tls, keepalive } = options;
    const { address, target } = way;
    this.#address = address;
    this.#life = life;
    const { bareHost: host, port } = splitAddress(target);
    const onConnect = (): void => {
      const { alpnProtocol } = socket as { readonly alpnProtocol?: string | false };
      if (tls !== undefined && alpnProtocol !== "h2") this.reset(unavailable("the server speaks no HTTP/2"));
    };
    const socket = connectTo({ host, port }, tls, onConnect, "h2");
    let wasReady = false;
    this.#session = new Http2Session(
      socket,
      true,
      { clock, keepalive },
      {
        onReady: () => {
          disarm();
          wasReady = true;
          life.onReady();
          this.#startWaiting();
        },
        onRoom: () => this.#startWaiting(),
        onGoaway: ({ code, debug, message }) => {
          if (code === errorCodes.enhanceYourCalm && debug === tooManyPings) life.onTooManyPings();
          this.#turnAway(unavailable(`${address}: ${message}`, { reach: "nowhere" }));
          this.leave();
        },
        onStream: () => undefined,
        onClosed: (cause) => {
          disarm();
          const error = this.#lost(cause, wasReady ? undefined : { tls, wallMs: clock.wallMs() });
          life.onLost(error, wasReady);
          this.#turnAway(error);
        },
      },
    );
    const disarm = clock.after(connectWithinUs, () => this.reset(unavailable("it doesn't answer")));
  }

  start(call: TripleCall): void {
    if (this.#session.hasRoom) call.begin(this.#session, this.#held, this.#address);
    else if (this.#session.isLeaving || this.#session.isOver) {
      // Its numbers are used up, or the peer goes: who keeps it hears so now.
      this.#life.onLeaving();
      call.fail(unavailable(`${this.#address}: the connection takes no more calls`, { reach: "nowhere" }));
    } else {
      call.settle();
      this.#waiting.add(call);
      call.onOver = () => {
        this.#waiting.delete(call);
        this.#leaveWhenAllBegan();
      };
    }
  }

  leave(): void {
    if (!this.#isLeaving) this.#life.onLeaving();
    this.#isLeaving = true;
    this.#leaveWhenAllBegan();
  }

  reset(error: RpcError): void {
    this.#session.destroy(error);
  }

  #startWaiting(): void {
    for (const call of this.#waiting) {
      if (!this.#session.hasRoom) break;
      this.#waiting.delete(call);
      call.onOver = undefined;
      call.begin(this.#session, this.#held, this.#address);
    }
    this.#leaveWhenAllBegan();
  }

  #leaveWhenAllBegan(): void {
    if (this.#isLeaving && this.#waiting.size === 0) this.#session.leave();
  }

  #turnAway(error: RpcError): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) call.fail(error);
  }

  /** Why it is gone; before the server was there, it may have been the handshake's fault. */
  #lost(cause: Error, handshake: { tls: TlsIdentity | undefined; wallMs: number } | undefined): RpcError {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    const trouble = handshake && tlsTrouble(`${code} ${message}`, handshake.tls, handshake.wallMs);
    // `reset` is how a transport is closed: its words are meant for callers.
    const error = unavailable(`${this.#address}: ${trouble?.message ?? message}`, { cause, reach: "nowhere" });
    if (trouble === undefined) return error;
    return new RpcError(error.message, { code: "UNAVAILABLE", hint: trouble.hint, cause, reach: "nowhere" });
  }
}

interface TripleCallWhat {
  readonly method: Method<unknown, unknown>;
  readonly call: Call;
  readonly fields: RequestFields;
}

/** One call as its client sees it. */
class TripleCall implements Cancellable, ClientCallEvents, StreamSink {
  readonly response: Promise<Response>;
  isOver = false;
  /** Hears that nobody waits for it any more, before it has begun. */
  onOver: (() => void) | undefined;
  readonly #what: TripleCallWhat;
  /** Undefined where its client streams: then messages are taken when it has begun. */
  #message: OutgoingMessage | undefined;
  readonly #requests: AsyncIterable<unknown> | undefined;
  #sender: StreamSender | undefined;
  readonly #custom: readonly string[];
  readonly #messageBytesMax: number;
  #grpc: GrpcClientCall | undefined;
  /** The one message of the reply, or why it can't be read: said when the server has said OK. */
  #reply: { readonly message: unknown } | { readonly trouble: unknown } | undefined;
  #reader: StreamReader | undefined;
  #resolve!: (response: Response) => void;
  #reject!: (error: RpcError) => void;

  /** Throws INVALID_ARGUMENT and RESOURCE_EXHAUSTED for what can't be sent. */
  constructor(what: TripleCallWhat, request: unknown, { messageBytesMax }: TripleChannelOptions) {
    this.#what = what;
    this.#messageBytesMax = messageBytesMax;
    this.#custom = what.fields.custom(what.call.metadata);
    if (takesStream(what.method)) this.#requests = request as AsyncIterable<unknown>;
    else this.#message = within(outgoing(what.method.input, request), messageBytesMax);
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It has to wait: whatever becomes of its request meanwhile, it goes as it is now. */
  settle(): void {
    if (this.#message !== undefined) this.#message = bytesOf(this.#message);
  }

  /** The deadline goes as what is left of it now. */
  begin(session: Http2Session, held: Held, peer: string): void {
    const { call, fields, method } = this.#what;
    try {
      const options = { messageBytesMax: this.#messageBytesMax, held, peer };
      this.#grpc = GrpcClientCall.begin(session, fields.of(this.#custom, call.remainingUs()), options, this);
      if (this.#message !== undefined) this.#grpc.send(this.#message, true);
    } catch (error) {
      return this.fail(error as RpcError);
    }
    if (this.#requests !== undefined) this.#sendAll(this.#requests);
    if (!givesStream(method)) this.#grpc.read();
    // A server may wait to hear something before it answers: the caller's stream of answers has begun with the call.
    else if (this.#requests !== undefined) this.#begun();
  }

  send(message: unknown): void {
    this.#grpc!.send(outgoing(this.#what.method.input, message));
  }

  get isWritable(): boolean {
    return this.#grpc!.isWritable;
  }

  /** Nobody waits for it any more. */
  cancel(reason: RpcError): void {
    if (this.isOver) return;
    this.#grpc?.cancel();
    this.fail(reason);
  }

  fail(error: RpcError): void {
    if (this.isOver) return;
    this.#over();
    this.onOver?.();
    if (this.#reader === undefined) this.#reject(error);
    else this.#reader.onEnd(error);
  }

  onHeaders(): void {
    if (givesStream(this.#what.method)) this.#begun();
  }

  onMessage(bytes: Buffer): void {
    if (this.#reader !== undefined) return this.#reader.onMessage(bytes);
    if (this.#reply !== undefined) {
      return this.cancel(
        new RpcError("the server sent more than one message", { code: "INTERNAL", reach: "answered" }),
      );
    }
    try {
      this.#reply = { message: replyFrom(this.#what.method, bytes) };
    } catch (trouble) {
      this.#reply = { trouble };
    }
    this.#grpc!.keep(bytes.length);
    // There is no second one: what is waited for is the end.
    this.#grpc!.read();
  }

  onEnd(error: RpcError | undefined, trailers: Metadata): void {
    if (this.isOver) return;
    const { method, call } = this.#what;
    if (error !== undefined) return this.fail(call.reason ?? atDeadline(error, call.remainingUs()));
    this.#over();
    if (givesStream(method)) {
      // A stream that ended OK without any message may have had no beginning of its own: it is an empty stream.
      this.#begun();
      return this.#reader!.onEnd(undefined);
    }
    const reply = this.#reply;
    if (reply === undefined) {
      return this.#reject(new RpcError("the server sent no message", { code: "UNIMPLEMENTED", reach: "answered" }));
    }
    if ("trouble" in reply) this.#reject(toRpcError(reply.trouble));
    else this.#resolve({ kind: "unary", message: reply.message, trailers });
  }

  onDrain(): void {
    this.#sender?.onDrain();
  }

  onUnwanted(): void {
    this.#sender?.stop();
  }

  #sendAll(requests: AsyncIterable<unknown>): void {
    this.#sender = new StreamSender(requests, this);
    this.#sender.sent.then(
      () => this.#grpc!.end(),
      (error: unknown) => this.cancel(toRpcError(error)),
    );
  }

  #over(): void {
    this.isOver = true;
    this.#sender?.stop();
    this.#what.call.detach(this);
  }

  #begun(): void {
    if (this.#reader !== undefined) return;
    this.#reader = new StreamReader(
      (bytes) => replyFrom(this.#what.method, bytes),
      () => this.#grpc!.read(),
      () => this.cancel(new RpcError("the reader left the stream", { code: "CANCELLED" })),
    );
    this.#resolve({ kind: "stream", messages: this.#reader });
  }
}
