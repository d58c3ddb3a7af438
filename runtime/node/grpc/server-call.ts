import { noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError } from "../../call/status.ts";
import type { Fields } from "../http2/hpack/field-list.ts";
import { encodeFields, listBytes, noBlock, type FieldBlock } from "../http2/hpack/encoder.ts";
import type { Http2Stream, Reset, StreamEvents } from "../http2/stream.ts";
import { codecHeader, fromFields, parseTimeout, toFields } from "./fields.ts";
import { MessageReader, sendMessage, within, type Held, type MessageEvents, type OutgoingMessage } from "./messages.ts";
import { okTrailers, statusFields } from "./status.ts";

/** What a handler hears of its call. */
export interface ServerCallEvents {
  /** One for each `read`, in order; `bytes` is gone when this returns: copy what you keep. */
  onMessage(bytes: Buffer): void;
  /** The caller has sent all its messages, and they have been read. */
  onEnd(): void;
  /** Nobody waits any more, or what came is malformed and has been answered so: nothing comes after it. */
  onCancel(error: RpcError): void;
  /** What was sent has gone: there is room for more. */
  onDrain(): void;
}

export interface ServerCallOptions {
  readonly messageBytesMax: number;
  /** Of a message that is sent. Default `messageBytesMax`. */
  readonly sendBytesMax?: number | undefined;
  /** Of the connection that the call is on. */
  readonly held: Held;
}

/** What a request's fields say. */
export interface GrpcRequest {
  readonly path: string;
  /** Of the codec: "proto", "json"; undefined: the caller leaves it to the server. */
  readonly subtype: string | undefined;
  readonly metadata: Metadata;
  /** What is left of the deadline; undefined without one. */
  readonly timeoutUs: number | undefined;
  readonly encoding: string;
  /** What its fields take in memory, by the count of RFC 9113 section 6.5.2: by HPACK's table they come in a byte each. */
  readonly fieldsBytes: number;
}

/**
 * Reads a request's fields, once for each section that the decoder hands out again. Undefined where it isn't gRPC at all, and has been
 * answered so; throws the status that it gets otherwise.
 */
export function readRequest(stream: Http2Stream, fields: Fields): GrpcRequest | undefined {
  if (fields.isTooLarge) return refuseAsHttp(stream, "431");
  return (fields.understood ??= read(stream, fields.list)) as GrpcRequest | undefined;
}

function read(stream: Http2Stream, list: readonly string[]): GrpcRequest | undefined {
  let path = "";
  let method = "";
  let type = "";
  let timeout: string | undefined;
  let encoding = "identity";
  let codec: string | undefined;
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at]!;
    if (name === ":path") path = list[at + 1]!;
    else if (name === ":method") method = list[at + 1]!;
    else if (name === "content-type") type = list[at + 1]!;
    else if (name === "grpc-timeout") timeout = list[at + 1]!;
    else if (name === codecHeader) codec = list[at + 1]!;
    else if (name === "grpc-encoding") encoding = list[at + 1]!;
  }
  const subtype = contentType.exec(type);
  if (subtype === null) return refuseAsHttp(stream, "415");
  if (method !== "POST") return refuseAsHttp(stream, "405");
  const timeoutUs = timeout === undefined ? undefined : parseTimeout(timeout);
  if (timeout !== undefined && timeoutUs === undefined) {
    throw new RpcError(`"${timeout.slice(0, 100)}" is no grpc-timeout`, { code: "INTERNAL" });
  }
  if (encoding !== "identity" && encoding !== "gzip") {
    throw new RpcError(`the encoding ${encoding.slice(0, 100)} isn't spoken here`, { code: "UNIMPLEMENTED" });
  }
  return {
    ...{ path, subtype: subtype[1] ?? codec, metadata: fromFields(list), timeoutUs, encoding },
    fieldsBytes: listBytes(list),
  };
}

const contentType = /^application\/grpc(?:\+([a-z0-9.-]+))?(?:;|$)/;

/** Section "Responses" of the protocol: what isn't gRPC gets a status of HTTP's. */
function refuseAsHttp(stream: Http2Stream, status: string): undefined {
  const known = status === "431" ? ["grpc-status", "8", "grpc-message", "too much metadata"] : [];
  stream.fields({ block: noBlock, list: [":status", status, ...known] }, true);
  stream.wantNoMore();
}

/** A call that nobody serves: its caller hears so, and nothing that it still sends is read. */
export function refuseCall(stream: Http2Stream, error: RpcError): void {
  const block = responseBlock(undefined);
  stream.fields({ block, list: statusFields(error, stream.peerListBytesMax - block.listBytes) }, true);
  stream.wantNoMore();
}

const blocks = new Map<string, FieldBlock>();

/** The first fields of every response with this codec. */
function responseBlock(subtype: string | undefined): FieldBlock {
  const type = subtype === undefined ? "application/grpc" : `application/grpc+${subtype}`;
  let block = blocks.get(type);
  if (block === undefined) {
    block = encodeFields([":status", "200", "content-type", type, "grpc-accept-encoding", "identity,gzip"]);
    // The subtype is the caller's word: no more of them are kept than there are codecs.
    if (blocks.size < 16) blocks.set(type, block);
  }
  return block;
}

/** One call of gRPC's on a server's connection, of any of its four kinds: messages in as they are asked for, messages out, a status. */
export class GrpcServerCall implements StreamEvents, MessageEvents {
  /** Set by the handler before it reads. */
  events!: ServerCallEvents;
  readonly request: GrpcRequest;
  readonly #stream: Http2Stream;
  readonly #options: ServerCallOptions;
  readonly #reader: MessageReader;
  #hasBegun = false;
  #isOver = false;

  constructor(stream: Http2Stream, request: GrpcRequest, isEnd: boolean, options: ServerCallOptions) {
    this.request = request;
    this.#stream = stream;
    this.#options = options;
    this.#reader = new MessageReader(stream, this, options);
    this.#reader.encoding = request.encoding;
    stream.events = this;
    if (isEnd) this.#reader.receive(none, true);
  }

  /** The caller doesn't wait any more, or has its status. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The caller has sent all that it will. */
  get isCallerDone(): boolean {
    return this.#stream.isRemoteEnded;
  }

  /** False: wait for `onDrain` before you send more. */
  get isWritable(): boolean {
    return this.#stream.isWritable;
  }

  /** Asks for the next message. */
  read(): void {
    this.#reader.read();
  }

  /**
   * Tells the caller that an answer has begun, and what stands before its messages; `send` does so by itself. Throws INVALID_ARGUMENT for
   * metadata that can't be carried.
   */
  begin(metadata: Metadata = noMetadata): void {
    if (this.#hasBegun || this.#isOver) return;
    const list = metadata.size === 0 ? noFields : toFields(metadata);
    this.#hasBegun = true;
    this.#stream.fields({ block: responseBlock(this.request.subtype), list });
  }

  /** Throws RESOURCE_EXHAUSTED for a message that is too large, before the caller hears anything. */
  send(message: OutgoingMessage): void {
    if (this.#isOver) return;
    const { messageBytesMax, sendBytesMax = messageBytesMax } = this.#options;
    const fitting = within(message, sendBytesMax);
    this.begin();
    sendMessage(this.#stream, fitting);
  }

  /** OK. Throws INVALID_ARGUMENT for trailers that can't be carried. */
  end(trailers: Metadata = noMetadata): void {
    if (this.#isOver) return;
    const list = trailers.size === 0 ? noFields : toFields(trailers);
    this.begin();
    this.#over();
    this.#stream.trailers({ block: okTrailers, list });
    this.#stream.wantNoMore();
  }

  fail(error: RpcError): void {
    if (this.#isOver) return;
    this.#over();
    const block = this.#hasBegun ? noBlock : responseBlock(this.request.subtype);
    const list = statusFields(error, this.#stream.peerListBytesMax - block.listBytes);
    if (this.#hasBegun) this.#stream.trailers({ block, list });
    else this.#stream.fields({ block, list }, true);
    this.#stream.wantNoMore();
  }

  onFields(_: Fields, isEnd: boolean): void {
    // Trailers of a request say nothing in gRPC.
    if (isEnd && !this.#isOver) this.#reader.receive(none, true);
  }

  onData(bytes: Buffer, isEnd: boolean): void {
    this.#reader.receive(bytes, isEnd);
  }

  onReset(reset: Reset): void {
    if (this.#isOver) return;
    this.#over();
    const why = reset.by === "connection" ? "the caller's connection is gone" : "the caller cancelled";
    this.events.onCancel(new RpcError(why, { code: "CANCELLED" }));
  }

  onDrain(): void {
    if (!this.#isOver) this.events.onDrain();
  }

  onMessage(bytes: Buffer): void {
    if (!this.#isOver) this.events.onMessage(bytes);
  }

  onMessagesEnd(): void {
    if (!this.#isOver) this.events.onEnd();
  }

  onMalformed(error: RpcError): void {
    if (this.#isOver) return;
    this.fail(error);
    this.events.onCancel(error);
  }

  #over(): void {
    this.#isOver = true;
    this.#reader.stop();
  }
}

const none = Buffer.alloc(0);
const noFields: readonly string[] = [];
