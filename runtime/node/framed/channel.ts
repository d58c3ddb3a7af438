import type { Call, Cancellable } from "../../call/call.ts";
import { givesStream, refuseClientStreams, replyFrom, type Method } from "../../call/service.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Response } from "../../ports/transport.ts";
import { splitAddress } from "../address.ts";
import { Reconnecting, type ConnectionLife } from "../reconnecting.ts";
import { connectTo, tlsTrouble, type TlsIdentity } from "../tls.ts";
import { unavailable } from "../unavailable.ts";
import { FramedConnection, type Keepalive } from "./connection.ts";
import { decodeEnd, decodeText, encodeCredit, encodeRequest, frameTypes, malformed, type Frame } from "./wire.ts";

export interface FramedChannelOptions {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number };
  readonly keepalive: Keepalive;
  readonly tls: TlsIdentity | undefined;
}

/** Messages of a stream that a server may send ahead of their reader. */
export const creditInitial = 16;
/** An attempt to connect that takes longer has failed: gRPC's. */
const connectWithinUs = 20_000_000;
const streamMax = 0xffffffff;

/** The way to one address, over framed TCP. */
export class FramedChannel {
  readonly target: string;
  readonly #connections: Reconnecting<ClientConnection>;

  constructor(address: string, target: string, options: FramedChannelOptions) {
    this.target = target;
    const { clock, reconnect } = options;
    const connect = (life: ConnectionLife): ClientConnection => new ClientConnection(target, options, life);
    this.#connections = new Reconnecting({ address, clock, reconnect, connect });
  }

  /** Throws what can't be sent, and UNAVAILABLE while the peer refuses. */
  invoke(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    refuseClientStreams(method, "framed TCP");
    const connection = this.#connections.take();
    const stream = new ClientStream(method, call, method.input.encode(request));
    if (!stream.isOver) connection.start(stream);
    return stream.response;
  }

  retire(onGone: () => void): void {
    this.#connections.retire(onGone);
  }

  close(): void {
    this.#connections.close();
  }
}

class ClientConnection {
  readonly #target: string;
  readonly #events: ConnectionLife;
  readonly #connection: FramedConnection;
  readonly #streams = new Map<number, ClientStream>();
  /** Those that wait for the peer's hello. */
  #waiting: ClientStream[] | undefined = [];
  #last = 0;
  #isLeaving = false;

  constructor(target: string, options: FramedChannelOptions, events: ConnectionLife) {
    const { clock, tls } = options;
    this.#target = target;
    this.#events = events;
    const { bareHost: host, port } = splitAddress(target);
    /** Until the peer's hello is there, what goes wrong may be the handshake's fault. */
    const troubleOf = (error: RpcError, wasReady: boolean): RpcError | undefined => {
      const { code = "", message = "" } = (error.cause ?? {}) as NodeJS.ErrnoException;
      const trouble = wasReady ? undefined : tlsTrouble(`${code} ${message} ${error.message}`, tls, clock.wallMs());
      return trouble && new RpcError(trouble.message, { code: "UNAVAILABLE", hint: trouble.hint, cause: error.cause });
    };
    const socket = connectTo({ host, port }, tls, () => disarm());
    const disarm = clock.after(connectWithinUs, () => this.reset(unavailable(`${target} doesn't answer`)));
    this.#connection = new FramedConnection(
      socket,
      { ...options, helloWithinUs: connectWithinUs },
      {
        onReady: () => {
          const waiting = this.#waiting ?? [];
          this.#waiting = undefined;
          events.onReady();
          for (const stream of waiting) this.#send(stream);
          this.#goWhenIdle();
        },
        onFrame: (frame) => this.#receive(frame),
        onLost: (error) => {
          disarm();
          const wasReady = this.#waiting === undefined;
          const told =
            troubleOf(error, wasReady) ??
            (error.code === "UNAVAILABLE" ? error : unavailable(error.message, { cause: error }));
          events.onLost(told, wasReady);
          for (const stream of [...(this.#waiting ?? []), ...this.#streams.values()])
            stream.fail(describe(told, target));
          this.#streams.clear();
        },
        isBusy: () => this.#streams.size > 0,
      },
    );
  }

  start(stream: ClientStream): void {
    if (this.#waiting === undefined) this.#send(stream);
    else this.#waiting.push(stream);
  }

  leave(): void {
    if (!this.#isLeaving) this.#events.onLeaving();
    this.#isLeaving = true;
    this.#goWhenIdle();
  }

  reset(error: RpcError): void {
    this.#connection.reset(error);
  }

  #send(stream: ClientStream): void {
    if (stream.isOver) return;
    if (this.#last === streamMax) {
      // The numbers are used up; nothing but a new connection has more.
      stream.fail(unavailable("the connection has carried as many calls as it can"));
      return this.leave();
    }
    let payload: Buffer;
    try {
      payload = stream.request();
      if (payload.length > this.#connection.payloadBytesMax) throw tooLarge(payload.length);
    } catch (error) {
      return stream.fail(error as RpcError);
    }
    const id = ++this.#last;
    this.#streams.set(id, stream);
    stream.sent({
      cancel: () => {
        this.#connection.send(frameTypes.cancel, id);
        this.#over(id);
      },
      credit: (messages) => this.#connection.send(frameTypes.credit, id, encodeCredit(messages)),
    });
    this.#connection.send(frameTypes.request, id, payload);
  }

  #receive({ type, stream: id, payload }: Frame): void {
    if (type === frameTypes.goaway) {
      const text = decodeText(payload);
      for (const [later, stream] of this.#streams) {
        if (later <= id) continue;
        this.#streams.delete(later);
        stream.fail(describe(unavailable(text), this.#target));
      }
      return this.leave();
    }
    if (id === 0 || id > this.#last) throw malformed(`a frame for call ${id}, which was never made`);
    const stream = this.#streams.get(id);
    // Cancelled meanwhile.
    if (stream === undefined) return;
    if (type === frameTypes.accepted) stream.accepted();
    else if (type === frameTypes.message) stream.message(payload);
    else if (type === frameTypes.end) {
      const end = decodeEnd(payload);
      this.#over(id);
      stream.ended(end);
    } else throw malformed(`a frame of type ${type} from a server`);
  }

  #over(id: number): void {
    this.#streams.delete(id);
    this.#goWhenIdle();
  }

  #goWhenIdle(): void {
    if (this.#isLeaving && this.#waiting === undefined && this.#streams.size === 0) this.#connection.end();
  }
}

const describe = (error: RpcError, target: string): RpcError =>
  new RpcError(`${target}: ${error.message}`, { code: "UNAVAILABLE", hint: error.hint, cause: error.cause });

const tooLarge = (bytes: number): RpcError =>
  new RpcError(`a request of ${bytes} bytes is larger than the server takes`, { code: "RESOURCE_EXHAUSTED" });

interface Line {
  cancel(): void;
  credit(messages: number): void;
}

/** One call as its client sees it. */
class ClientStream implements Cancellable {
  readonly response: Promise<Response>;
  isOver = false;
  readonly #method: Method<unknown, unknown>;
  readonly #call: Call;
  readonly #message: Uint8Array;
  #line: Line | undefined;
  #reader: StreamReader | undefined;
  #resolve!: (response: Response) => void;
  #reject!: (error: RpcError) => void;

  constructor(method: Method<unknown, unknown>, call: Call, message: Uint8Array) {
    this.#method = method;
    this.#call = call;
    this.#message = message;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    call.attach(this);
  }

  /** As it goes now: the deadline is what is left of it. */
  request(): Buffer {
    const { path, codecName: codec } = this.#method;
    const leftUs = this.#call.remainingUs();
    const timeoutUs = leftUs === Infinity ? undefined : leftUs;
    return encodeRequest({ path, codec, timeoutUs, metadata: this.#call.metadata, message: this.#message });
  }

  sent(line: Line): void {
    this.#line = line;
  }

  cancel(reason: RpcError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#line?.cancel();
    this.#fail(reason);
  }

  fail(error: RpcError): void {
    if (this.isOver) return;
    this.#settle();
    this.#fail(error);
  }

  accepted(): void {
    if (this.isOver || this.#reader !== undefined) return;
    this.#reader = new StreamReader(
      this.#method,
      () => this.#line?.credit(1),
      () => this.cancel(new RpcError("the reader left the stream", { code: "CANCELLED" })),
    );
    this.#resolve({ kind: "stream", messages: this.#reader });
  }

  message(bytes: Uint8Array): void {
    if (this.isOver) return;
    // A server that sends more than it may has no claim on this side's memory.
    if (this.#reader?.push(bytes) !== true) this.#protocol("the server sent a message that nobody asked for");
  }

  ended({ error, trailers, message }: ReturnType<typeof decodeEnd>): void {
    if (this.isOver) return;
    this.#settle();
    if (error !== undefined) return this.#fail(error);
    if (givesStream(this.#method)) {
      const reader = (this.#reader ??= new StreamReader(this.#method, nothing, nothing));
      reader.end(undefined);
      return this.#resolve({ kind: "stream", messages: reader });
    }
    if (message === undefined) {
      return this.#fail(new RpcError("the server sent no message", { code: "UNIMPLEMENTED" }));
    }
    try {
      this.#resolve({ kind: "unary", message: replyFrom(this.#method, message), trailers });
    } catch (error) {
      this.#fail(toRpcError(error));
    }
  }

  #protocol(message: string): void {
    this.cancel(new RpcError(message, { code: "INTERNAL" }));
  }

  #settle(): void {
    this.isOver = true;
    this.#call.detach(this);
  }

  #fail(error: RpcError): void {
    if (this.#reader === undefined) this.#reject(error);
    else this.#reader.end(error);
  }
}

const nothing = (): void => undefined;

/** A stream's messages between their arrival and their reader: at most as many as the server has credit for. */
class StreamReader implements AsyncIterableIterator<unknown> {
  readonly #method: Method<unknown, unknown>;
  readonly #onRead: () => void;
  readonly #onLeave: () => void;
  readonly #messages: Uint8Array[] = [];
  #waiting: { resolve: (result: IteratorResult<unknown>) => void; reject: (error: RpcError) => void } | undefined;
  #isOver = false;
  #error: RpcError | undefined;

  constructor(method: Method<unknown, unknown>, onRead: () => void, onLeave: () => void) {
    this.#method = method;
    this.#onRead = onRead;
    this.#onLeave = onLeave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** False when there is no credit left for it. */
  push(bytes: Uint8Array): boolean {
    if (this.#isOver || this.#messages.length >= creditInitial) return false;
    // They are lent, and may have to wait.
    this.#messages.push(Uint8Array.from(bytes));
    this.#deliver();
    return true;
  }

  end(error: RpcError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#deliver();
  }

  /** One at a time, as `for await` asks. */
  next(): Promise<IteratorResult<unknown>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#deliver();
    });
  }

  return(): Promise<IteratorResult<unknown>> {
    this.#messages.length = 0;
    const wasOver = this.#isOver;
    this.#isOver = true;
    this.#error = undefined;
    if (!wasOver) this.#onLeave();
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const bytes = this.#messages.shift();
    if (bytes === undefined && !this.#isOver) return;
    this.#waiting = undefined;
    if (bytes !== undefined) {
      this.#onRead();
      try {
        waiting.resolve({ done: false, value: replyFrom(this.#method, bytes) });
      } catch (error) {
        void this.return();
        waiting.reject(toRpcError(error));
      }
    } else if (this.#error !== undefined) {
      waiting.reject(this.#error);
      this.#error = undefined;
    } else {
      waiting.resolve({ done: true, value: undefined });
    }
  }
}
