import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { RpcError, toRpcError, type RpcCode } from "../call/status.ts";
import type { HttpListenOptions, HttpRequest, HttpResponse } from "../ports/http.ts";
import { compressed, compressedFromBytes, decompressed, takesGzip } from "./http-coding.ts";
import { onDemand } from "./on-demand.ts";
import { PeersMemory, type PeerMemory } from "./peer-memory.ts";
import { principalOf } from "./tls.ts";

export interface HttpLimits {
  /** A larger body, also behind its compression, is answered 413. Default 64 KiB. */
  readonly bodyBytesMax?: number | undefined;
  /** Headers that aren't complete so long after a connection or a request began are answered 408. Default 5000. */
  readonly headersWithinMs?: number | undefined;
  /** The same for the whole request. Default 10000. */
  readonly requestWithinMs?: number | undefined;
  /** A connection without a request is closed after this long. Default 60000. */
  readonly idleMs?: number | undefined;
}

type What = Pick<HttpListenOptions, "handle" | "errorBody">;

/** Requests that are worked on at a time, however many a connection pipelines; more are answered 503. */
const inFlightMax = 8192;
/** All header lines of a request together; more are answered 431. */
const headerBytesMax = 16 * 1024;

/**
 * HTTP/1.1 by node:http on connections that somebody else has accepted. Malformed requests, too large headers and slow clients are answered
 * by Node.js itself.
 */
export class HttpConnections {
  readonly #what: What;
  readonly #limits: HttpLimits;
  readonly #memory: PeersMemory;
  readonly #shares = new Map<Socket, PeerMemory>();
  /** From the first connection on. */
  #server: Server | undefined;
  /** Requests in flight by connection. */
  readonly #busy = new Map<Socket, number>();
  #inFlight = 0;
  #isDraining = false;
  #drained: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  /** `memory`: what bodies take, until they are whole and handled, counts as what others make their listener keep. */
  constructor(what: What, limits: HttpLimits, memory = new PeersMemory()) {
    this.#what = what;
    this.#limits = limits;
    this.#memory = memory;
  }

  accept(socket: Socket): void {
    this.#busy.set(socket, 0);
    const share = this.#memory.join(() => socket.destroy());
    this.#shares.set(socket, share);
    socket.once("close", () => {
      share.leave();
      this.#shares.delete(socket);
      this.#busy.delete(socket);
      if (this.#busy.size === 0) this.#onIdle?.();
    });
    this.#server ??= this.#serving();
    this.#server.emit("connection", socket);
  }

  /** Idle connections end now, the others with their answers; resolves when all have. */
  drain(): Promise<void> {
    this.#isDraining = true;
    // Node.js itself leaves those alone that haven't sent any request yet.
    for (const [socket, requests] of this.#busy) if (requests === 0) socket.destroy();
    this.#drained ??=
      this.#busy.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => (this.#onIdle = resolve));
    return this.#drained;
  }

  /** Ends all connections at once. */
  close(): void {
    for (const socket of [...this.#busy.keys()]) socket.destroy();
    this.#server?.close();
  }

  #serving(): Server {
    const { headersWithinMs = 5_000, requestWithinMs = 10_000, idleMs = 60_000 } = this.#limits;
    const server = onDemand.http().createServer({
      headersTimeout: headersWithinMs,
      requestTimeout: Math.max(headersWithinMs, requestWithinMs),
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: Math.min(1_000, Math.ceil(headersWithinMs / 2)),
      maxHeaderSize: headerBytesMax,
    });
    server.on("request", (request, response) => void this.#serve(request, response));
    // It listens nowhere itself, and looks after the time that connections take from this event on.
    server.emit("listening");
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    this.#inFlight++;
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      this.#inFlight--;
      if (!this.#busy.has(socket)) return;
      const left = this.#busy.get(socket)! - 1;
      this.#busy.set(socket, left);
      // Its answer may have begun before anybody knew that it would be the last one.
      if (this.#isDraining && left === 0) socket.destroySoon();
    });
    // What happens to a connection is seen by its response's end.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    let answer: HttpResponse;
    try {
      answer = await this.#answer(request, response);
    } catch {
      answer = failed;
    }
    await send(request, response, answer, () => this.#isDraining || !request.complete);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<HttpResponse> {
    const { handle, errorBody = plainBody } = this.#what;
    const { bodyBytesMax: bytesMax = 64 * 1024 } = this.#limits;
    const refuse = (status: number, error: RpcError, headers?: HttpResponse["headers"]): HttpResponse => {
      return { status, body: errorBody(error), headers };
    };
    if (this.#inFlight > inFlightMax) {
      const error = new RpcError(`more than ${inFlightMax} requests are being worked on`, { code: "UNAVAILABLE" });
      return refuse(503, error, { "retry-after": "1" });
    }
    const share = this.#shares.get(request.socket);
    let kept = 0;
    response.once("close", () => share?.add(-kept));
    const keep = (bytes: number): void => {
      kept += bytes;
      share?.add(bytes);
    };
    const sent = await bodyOf(request, bytesMax, keep);
    if (sent === undefined) {
      return refuse(413, new RpcError(`a body has at most ${bytesMax} bytes`, { code: "RESOURCE_EXHAUSTED" }));
    }
    let bytes: Uint8Array;
    try {
      bytes = await decompressed(sent, request.headers["content-encoding"], bytesMax);
      if (bytes !== sent && !response.destroyed) keep(bytes.length);
    } catch (thrown) {
      const error = toRpcError(thrown);
      return refuse(codingStatus[error.code] ?? 400, error, { "accept-encoding": "gzip, identity" });
    }
    let body = "";
    try {
      if (!isBinary(request.headers["content-type"])) body = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return refuse(400, new RpcError("the body is no UTF-8", { code: "INVALID_ARGUMENT" }));
    }
    return handle(requestOf(request, response, { bytes, body }));
  }
}

const failed: HttpResponse = { status: 500, body: { code: "INTERNAL", message: "the request could not be handled" } };

const plainBody = ({ code, message }: RpcError): unknown => ({ code, message });

const codingStatus: Partial<Record<RpcCode, number>> = { RESOURCE_EXHAUSTED: 413, UNIMPLEMENTED: 415 };

/** Protobuf and the like, alone or in envelopes. */
const isBinary = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/(connect\+|(proto|octet-stream|text)\s*(;|$))/i.test(contentType);

/** Undefined when it is too large; what comes after that isn't read. Rejects when the client goes away. */
function bodyOf(
  request: IncomingMessage,
  bytesMax: number,
  onKept: (bytes: number) => void,
): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax) return resolve(undefined);
      chunks.push(chunk);
      onKept(chunk.length);
    });
    request.once("end", () => resolve(Buffer.concat(chunks)));
    request.once("close", () => reject(new Error("the client has gone")));
  });
}

function requestOf(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, body }: Pick<HttpRequest, "bytes" | "body">,
): HttpRequest {
  // A proxy's client may send the whole address (RFC 9112 3.2.2).
  const target = (request.url ?? "/").replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  const [path = "", ...rest] = target.split("?");
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(rest.join("?"))) if (!query.has(name)) query.set(name, value);
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return {
    method: request.method ?? "GET",
    path: path === "" ? "/" : path,
    query,
    headers,
    body,
    bytes,
    peer: `${request.socket.remoteAddress}:${request.socket.remotePort}`,
    principal: principalOf(request.socket),
    onGone: (listener) => {
      if (response.destroyed) return listener();
      response.once("close", () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, headers, onOver }: HttpResponse,
  isLast: () => boolean,
): Promise<void> {
  if (response.destroyed) return leave(body);
  const isChunked = isChunks(body);
  let whole = isChunked || body === undefined ? undefined : body instanceof Uint8Array ? body : jsonOf(body);
  const isCompressed =
    whole !== undefined && whole.length >= compressedFromBytes && takesGzip(request.headers["accept-encoding"]);
  if (isCompressed) whole = await compressed(whole!);
  response.writeHead(status, {
    ...(body !== undefined && { "content-type": "application/json; charset=utf-8" }),
    ...(whole !== undefined && { "content-length": whole.length }),
    ...(isCompressed && { "content-encoding": "gzip", vary: "accept-encoding" }),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
    ...(isLast() && { connection: "close" }),
  });
  if (!isChunked) return void response.end(whole);
  response.flushHeaders();
  await sendChunks(response, body, onOver);
}

const jsonOf = (body: unknown): Buffer => Buffer.from(`${JSON.stringify(body)}\n`);

const isChunks = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === "object" && body !== null && Symbol.asyncIterator in body;

/** Nobody hears it: whoever makes the chunks is told. */
function leave(body: unknown): void {
  if (isChunks(body)) void body[Symbol.asyncIterator]().return?.();
}

/** Takes the next chunk only when the connection has room for it. */
async function sendChunks(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  onOver: HttpResponse["onOver"],
): Promise<void> {
  let isOver = false;
  let goOn = (): void => undefined;
  response.on("drain", () => goOn()).once("close", () => goOn());
  onOver?.(() => {
    isOver = true;
    goOn();
  });
  try {
    for await (const chunk of chunks) {
      if (response.destroyed) return;
      if (response.write(chunk)) continue;
      if (!isOver) await new Promise<void>((resolve) => (goOn = resolve));
      // Who doesn't read hears of no end either.
      if (isOver && response.writableNeedDrain) return void response.destroy();
    }
    response.end();
  } catch {
    response.destroy();
  }
}
