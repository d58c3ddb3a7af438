import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

import type { Clock } from "../ports/clock.ts";
import type { Http, HttpListener, HttpListenOptions, HttpRequest, HttpResponse } from "../ports/http.ts";
import { listenAt } from "./address.ts";
import { handshakeWithinMs, principalOf, type TlsIdentity } from "./tls.ts";

export interface HttpOptions {
  readonly clock: Clock;
  /** A larger body is answered 413. Default 64 KiB. */
  readonly bodyBytesMax?: number | undefined;
  /** Headers that aren't complete so long after a connection or a request began are answered 408. Default 5000. */
  readonly headersWithinMs?: number | undefined;
  /** The same for the whole request. Default 10000. */
  readonly requestWithinMs?: number | undefined;
  /** A connection without a request is closed after this long. Default 60000. */
  readonly idleMs?: number | undefined;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS: only clients whose certificate the authority has signed. Default none. */
  readonly tls?: TlsIdentity | undefined;
}

/** Connections that one listener holds; more are closed as they come. */
const connectionsMax = 4096;
/** Requests that are worked on at a time, however many a connection pipelines; more are answered 503. */
const inFlightMax = 8192;
/** All header lines of a request together; more are answered 431. */
const headerBytesMax = 16 * 1024;

/** HTTP/1.1 by node:http. Malformed requests, too large headers and slow clients are answered by Node.js itself. */
export function nodeHttp(options: HttpOptions): Http {
  return { listen: (what) => listenHttp(what, options) };
}

async function listenHttp({ address, handle }: HttpListenOptions, options: HttpOptions): Promise<HttpListener> {
  const { clock, bodyBytesMax = 64 * 1024, isLoopbackOnly = true, tls } = options;
  const { headersWithinMs = 5_000, requestWithinMs = 10_000, idleMs = 60_000 } = options;
  const limits = {
    headersTimeout: headersWithinMs,
    requestTimeout: Math.max(headersWithinMs, requestWithinMs),
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(headersWithinMs / 2)),
    maxHeaderSize: headerBytesMax,
    noDelay: true,
  };
  const server: Server = tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...mutual(tls) });
  server.maxConnections = connectionsMax;

  /** Requests in flight by connection. */
  const busy = new Map<Socket, number>();
  server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    busy.set(socket, 0);
    socket.once("close", () => busy.delete(socket));
  });
  let inFlight = 0;
  let isDraining = false;
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { socket } = request;
    inFlight++;
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      inFlight--;
      if (busy.has(socket)) busy.set(socket, busy.get(socket)! - 1);
    });
    // What happens to a connection is seen by its response's end.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    let answer: HttpResponse;
    try {
      answer = inFlight > inFlightMax ? tooMany : await answerTo(request, response, { handle, bodyBytesMax });
    } catch {
      answer = failed;
    }
    await send(response, answer, isDraining || !request.complete);
  };
  server.on("request", (request, response) => void serve(request, response));
  const listening = await listenAt(server, address, isLoopbackOnly);

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= ended(server).then(() => undefined);
    server.closeAllConnections();
    return closed;
  };
  return {
    address: listening,
    drain: async (graceUs) => {
      isDraining = true;
      closed ??= ended(server);
      // Those with a request in flight end with its answer. Node.js itself leaves those alone that haven't sent any yet.
      for (const [socket, requests] of busy) if (requests === 0) socket.destroy();
      const stopWaiting = clock.after(graceUs, () => server.closeAllConnections());
      await closed;
      stopWaiting();
    },
    close,
  };
}

const mutual = ({ ca, cert, key }: TlsIdentity) => ({
  ...{ ca, cert, key, requestCert: true, rejectUnauthorized: true },
  handshakeTimeout: handshakeWithinMs,
  minVersion: "TLSv1.2" as const,
});

const ended = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

const tooMany: HttpResponse = {
  status: 503,
  body: { code: "UNAVAILABLE", message: `more than ${inFlightMax} requests are being worked on` },
  headers: { "retry-after": "1" },
};
const failed: HttpResponse = { status: 500, body: { code: "INTERNAL", message: "the request could not be handled" } };

async function answerTo(
  request: IncomingMessage,
  response: ServerResponse,
  { handle, bodyBytesMax }: { readonly handle: HttpListenOptions["handle"]; readonly bodyBytesMax: number },
): Promise<HttpResponse> {
  const bytes = await bodyOf(request, bodyBytesMax);
  if (bytes === undefined) {
    return { status: 413, body: { code: "INVALID_ARGUMENT", message: `a body has at most ${bodyBytesMax} bytes` } };
  }
  let body = "";
  try {
    if (!isBinary(request.headers["content-type"])) body = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { status: 400, body: { code: "INVALID_ARGUMENT", message: "the body is no UTF-8" } };
  }
  return handle(requestOf(request, response, { bytes, body }));
}

/** Protobuf and the like, alone or in envelopes. */
const isBinary = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/(connect\+|(proto|octet-stream|text)\s*(;|$))/i.test(contentType);

/** Undefined when it is too large; what comes after that isn't read. Rejects when the client goes away. */
function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= bytesMax) chunks.push(chunk);
      else resolve(undefined);
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
    principal: request.socket instanceof TLSSocket ? principalOf(request.socket) : undefined,
    onGone: (listener) => {
      if (response.destroyed) return listener();
      response.once("close", () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}

async function send(response: ServerResponse, answer: HttpResponse, isLast: boolean): Promise<void> {
  const { status, body, headers } = answer;
  if (response.destroyed) return leave(body);
  const isChunked = isChunks(body);
  const whole = isChunked || body === undefined ? undefined : body instanceof Uint8Array ? body : jsonOf(body);
  response.writeHead(status, {
    ...(body !== undefined && { "content-type": "application/json; charset=utf-8" }),
    ...(whole !== undefined && { "content-length": whole.length }),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
    ...(isLast && { connection: "close" }),
  });
  if (!isChunked) return void response.end(whole);
  response.flushHeaders();
  await sendChunks(response, body);
}

const jsonOf = (body: unknown): Buffer => Buffer.from(`${JSON.stringify(body)}\n`);

const isChunks = (body: unknown): body is AsyncIterable<Uint8Array> =>
  typeof body === "object" && body !== null && Symbol.asyncIterator in body;

/** Nobody hears it: whoever makes the chunks is told. */
function leave(body: unknown): void {
  if (isChunks(body)) void body[Symbol.asyncIterator]().return?.();
}

/** Takes the next chunk only when the connection has room for it. */
async function sendChunks(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (response.destroyed) return;
      if (response.write(chunk)) continue;
      await new Promise<void>((resolve) => response.once("drain", resolve).once("close", resolve));
    }
    response.end();
  } catch {
    response.destroy();
  }
}
