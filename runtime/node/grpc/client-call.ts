import { noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError } from "../../call/status.ts";
import { errorCodes } from "../http2/errors.ts";
import { valueOf } from "../http2/fields.ts";
import type { Fields } from "../http2/hpack/field-list.ts";
import { encodeFields, type FieldBlock } from "../http2/hpack/encoder.ts";
import type { Http2Session } from "../http2/session.ts";
import type { Http2Stream, Reset, StreamEvents } from "../http2/stream.ts";
import { codecHeader, fromFields } from "./fields.ts";
import { MessageReader, sendMessage, within, type Held, type MessageEvents, type OutgoingMessage } from "./messages.ts";
import { errorOf, resetError } from "./status.ts";

/** What a caller hears of its call; `onEnd` once, and nothing after it. */
export interface ClientCallEvents {
  /** The server has begun to answer. */
  onHeaders(metadata: Metadata): void;
  /** One for each `read`, in order; `bytes` is gone when this returns: copy what you keep. */
  onMessage(bytes: Buffer): void;
  /**
   * The status; without an error it is OK. One that the server sent comes when all its messages have been read, everything else as soon as
   * it is known.
   */
  onEnd(error: RpcError | undefined, trailers: Metadata): void;
  /** What was sent has gone: there is room for more. */
  onDrain(): void;
  /** The server has said all, though not all of it has been read, and takes no more messages. */
  onUnwanted?(): void;
}

export interface ClientCallOptions {
  readonly messageBytesMax: number;
  /** Of a message that is sent. Default `messageBytesMax`. */
  readonly sendBytesMax?: number | undefined;
  /** Of the connection that the call is on. */
  readonly held: Held;
  /** Whom it calls, for the text of errors. */
  readonly peer: string;
  /** Compresses what is sent; the request's fields have to say so (`grpc-encoding`). Default false. */
  readonly isGzip?: boolean | undefined;
}

/** The fields of a method's requests that are always the same, encoded once. */
export function requestBlock(request: {
  readonly path: string;
  readonly authority: string;
  readonly isSecure: boolean;
  /** Of the codec: "proto", "json"; undefined leaves it to the server. */
  readonly subtype: string | undefined;
}): FieldBlock {
  const { path, authority, isSecure, subtype } = request;
  return encodeFields([
    ...[":method", "POST", ":scheme", isSecure ? "https" : "http", ":path", path, ":authority", authority],
    ...["te", "trailers", "content-type", subtype === undefined ? "application/grpc" : `application/grpc+${subtype}`],
    ...["user-agent", "grpc-node-flyball/0.1", "grpc-accept-encoding", "identity,gzip"],
    ...(subtype === undefined ? [] : [codecHeader, subtype]),
  ]);
}

/** One call of gRPC's on a client's connection, of any of its four kinds: messages out, messages in as they are asked for, a status. */
export class GrpcClientCall implements StreamEvents, MessageEvents {
  readonly #events: ClientCallEvents;
  readonly #options: ClientCallOptions;
  #stream!: Http2Stream;
  #reader!: MessageReader;
  #httpStatus = "";
  #isCommitted = false;
  #isOver = false;
  #trailers: readonly string[] | undefined;

  private constructor(options: ClientCallOptions, events: ClientCallEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** Begins a call, on a session that `hasRoom`. Throws RESOURCE_EXHAUSTED where the server doesn't take so much metadata. */
  static begin(
    session: Http2Session,
    request: { readonly block: FieldBlock; readonly list: readonly string[] },
    options: ClientCallOptions,
    events: ClientCallEvents,
  ): GrpcClientCall {
    const call = new GrpcClientCall(options, events);
    const stream = session.open(request, call);
    if (stream === undefined) {
      throw new RpcError("more metadata than the server takes", { code: "RESOURCE_EXHAUSTED", reach: "nowhere" });
    }
    call.#stream = stream;
    call.#reader = new MessageReader(stream, call, options);
    return call;
  }

  /** False: wait for `onDrain` before you send more. */
  get isWritable(): boolean {
    return this.#stream.isWritable;
  }

  /** Sends a message; `isLast`: there are no more. Throws RESOURCE_EXHAUSTED for one that is too large. */
  send(message: OutgoingMessage, isLast = false): void {
    const { messageBytesMax, sendBytesMax = messageBytesMax, isGzip = false } = this.#options;
    sendMessage(this.#stream, within(message, sendBytesMax), { isGzip, isEnd: isLast });
  }

  /** There are no more messages. */
  end(): void {
    this.#stream.data(none, true);
  }

  /** Asks for the next message. */
  read(): void {
    this.#reader.read();
  }

  /** A message of so many bytes is kept until the server has ended its side: such calls together hold so much memory and no more. */
  keep(bytes: number): void {
    this.#reader.keep(bytes);
  }

  /** Tells the server that nobody waits any more; the caller hears nothing more either. */
  cancel(code: number = errorCodes.cancel): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reader.stop();
    this.#stream.reset(code);
  }

  onFields({ list }: Fields, isEnd: boolean): void {
    if (this.#isOver) return;
    if (this.#httpStatus === "") return this.#begin(list, isEnd);
    this.#trailers = list;
    this.#reader.receive(none, true);
  }

  onData(bytes: Buffer, isEnd: boolean): void {
    if (this.#isOver) return this.#stream.consumed(bytes.length);
    // An end without trailers is one without a status.
    this.#reader.receive(bytes, isEnd);
  }

  onReset(reset: Reset): void {
    if (this.#isOver) return;
    // What has come to its end is whole, read or not (RFC 9113 section 8.1).
    if (this.#trailers !== undefined && reset.by !== "us") return this.#events.onUnwanted?.();
    this.#finish(resetError(reset, this.#options.peer, this.#isCommitted), noMetadata);
  }

  onDrain(): void {
    if (!this.#isOver) this.#events.onDrain();
  }

  onMessage(bytes: Buffer): void {
    this.#events.onMessage(bytes);
  }

  onMessagesEnd(): void {
    this.#finishAsTold();
  }

  onMalformed({ code, message }: RpcError): void {
    // A message that was cut off by an error is one because of the error.
    const told = this.#trailers && errorOf(this.#trailers, this.#httpStatus, true);
    this.#finish(told ?? new RpcError(message, { code, reach: "answered" }), noMetadata);
  }

  /** The response's first fields. */
  #begin(list: readonly string[], isEnd: boolean): void {
    this.#httpStatus = valueOf(list, ":status")!;
    // "Trailers-Only": a status, and no response before it.
    if (isEnd) {
      this.#trailers = list;
      return this.#finishAsTold();
    }
    const type = valueOf(list, "content-type") ?? "";
    if (this.#httpStatus !== "200" || !contentType.test(type)) {
      const error = errorOf([], this.#httpStatus, false);
      const said = this.#httpStatus === "200" ? `the server answered with ${type.slice(0, 100)}` : error!.message;
      return this.#finish(new RpcError(said, { code: error!.code, hint: error!.hint }), noMetadata);
    }
    this.#reader.encoding = valueOf(list, "grpc-encoding") ?? "identity";
    this.#isCommitted = true;
    this.#events.onHeaders(fromFields(list));
  }

  #finishAsTold(): void {
    const trailers = this.#trailers ?? [];
    const error = errorOf(trailers, this.#httpStatus, this.#isCommitted);
    this.#finish(error, error === undefined ? fromFields(trailers) : error.trailers);
  }

  #finish(error: RpcError | undefined, trailers: Metadata): void {
    this.#isOver = true;
    this.#reader.stop();
    // A server that has answered has no use for what was still to come (RFC 9113 section 8.1).
    if (!this.#stream.isClosed) this.#stream.reset(errorCodes.cancel);
    this.#events.onEnd(error, trailers);
  }
}

const none = Buffer.alloc(0);
/** With any codec; "application/grpc-web" and the like are other protocols. */
const contentType = /^application\/grpc(?:[+;]|$)/;
