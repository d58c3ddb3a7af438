import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

import type { Clock } from "../ports/clock.ts";
import type { Http, HttpListener, HttpListenOptions, HttpRequest, HttpResponse } from "../ports/http.ts";
import { listenAt } from "./address.ts";

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
  const { clock, bodyBytesMax = 64 * 1024, isLoopbackOnly = true } = options;
  const { headersWithinMs = 5_000, requestWithinMs = 10_000, idleMs = 60_000 } = options;
  const server = createServer({
    headersTimeout: headersWithinMs,
    requestTimeout: Math.max(headersWithinMs, requestWithinMs),
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(headersWithinMs / 2)),
    maxHeaderSize: headerBytesMax,
    noDelay: true,
  });
  server.maxConnections = connectionsMax;

  /** Requests in flight by connection. */
  const busy = new Map<Socket, number>();
  server.on("connection", (socket) => {
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
    send(response, answer, isDraining || !request.complete);
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
  let body: string;
  try {
    body = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { status: 400, body: { code: "INVALID_ARGUMENT", message: "the body is no UTF-8" } };
  }
  return handle(requestOf(request, response, body));
}

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

function requestOf(request: IncomingMessage, response: ServerResponse, body: string): HttpRequest {
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
    onGone: (listener) => {
      if (response.destroyed) return listener();
      response.once("close", () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}

function send(response: ServerResponse, { status, body, headers }: HttpResponse, isLast: boolean): void {
  if (response.destroyed) return;
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": text.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
    ...(isLast && { connection: "close" }),
  });
  response.end(text);
}
