import { Call } from "../call/call.ts";
import type { Method } from "../call/service.ts";
import { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { HttpRequest, HttpResponse } from "../ports/http.ts";
import type { Response, ServedMethod } from "../ports/transport.ts";
import { metadataOf, timeoutUsOf } from "./http-headers.ts";

/** What a server of a protocol over HTTP needs. */
export interface Serving {
  readonly clock: Clock;
  /** By path: "/flyball.worker.v1.Worker/Do". */
  readonly methods: ReadonlyMap<string, ServedMethod>;
}

/** A call as it goes over HTTP. */
export interface OutgoingRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** An answer as it came over HTTP. */
export interface IncomingResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Throws UNAVAILABLE when the connection breaks. Leaving early closes it. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** A way to make calls over HTTP/1.1. Portable: what carries the requests is somebody else's business. */
export interface HttpProtocol {
  /** Its name in the registry: Dubbo's where Dubbo has it. */
  readonly name: string;
  readonly answer: (serving: Serving) => (request: HttpRequest) => Promise<HttpResponse>;
  /** The body that tells a client why its request didn't get as far as `answer`. Default: `{ code, message }`. */
  readonly errorBody?: ((error: RpcError) => unknown) | undefined;
  readonly request: (method: Method<unknown, unknown>, call: Call, request: unknown) => OutgoingRequest;
  /** The answer of a call that `request` made. */
  readonly response: (
    method: Method<unknown, unknown>,
    incoming: IncomingResponse,
    messageBytesMax: number,
  ) => Promise<Response>;
}

/** The call that a request makes; it ends with its client. Throws INVALID_ARGUMENT for a deadline that is none. */
export function servedCall(clock: Clock, path: string, request: HttpRequest, message: unknown): Call {
  const call = new Call({
    clock,
    service: "",
    method: path,
    metadata: metadataOf(request.headers),
    timeoutUs: timeoutUsOf(request.headers),
    peer: request.peer,
    principal: request.principal,
    request: message,
  });
  request.onGone(() => call.cancel(new RpcError("the caller has gone", { code: "CANCELLED" })));
  return call;
}

/** The method in the codec that the protocol likes best, unless somebody has chosen one. */
export function preferring(codecName: string, method: Method<unknown, unknown>): Method<unknown, unknown> {
  return method.isCodecChosen === true ? method : (method.as?.(codecName) ?? method);
}

/** A body, whole. Throws RESOURCE_EXHAUSTED for one that is too large, without reading on. */
export async function wholeBody(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > bytesMax) throw tooLarge("an answer", bytesMax);
    chunks.push(chunk);
  }
  return joined(chunks, length);
}

export function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

export const tooLarge = (what: string, bytesMax: number): RpcError =>
  new RpcError(`${what} has at most ${bytesMax} bytes`, { code: "RESOURCE_EXHAUSTED" });

/** A record from JSON; undefined for anything else. */
export const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;

export const utf8 = new TextEncoder();
/** Throws for what is no UTF-8. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
