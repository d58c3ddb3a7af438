import { createServer } from "node:http";

import { listenAt } from "../address.ts";

export interface ExpositionOptions {
  /** "host:port" to serve at; port 0 takes a free one. */
  readonly address: string;
  /** Default true: other machines can't read them. */
  readonly isLoopbackOnly?: boolean | undefined;
  readonly contentType: string;
  /** The text as it is now. */
  readonly render: () => Promise<string>;
}

/** What Prometheus scrapes: `GET /metrics` over HTTP/1.1. */
export interface Exposition {
  /** Where it really listens: "host:port". */
  readonly address: string;
  /** Closes the listener and every connection. */
  close(): Promise<void>;
}

/**
 * Serves metrics in Prometheus's text format (https://prometheus.io/docs/instrumenting/exposition_formats/). Rejects with an
 * `RpcError` UNAVAILABLE when the address can't be had, and INVALID_ARGUMENT when it isn't a loopback one. It doesn't keep a
 * process alive.
 */
export async function serveMetrics(options: ExpositionOptions): Promise<Exposition> {
  const { address, contentType, render, isLoopbackOnly = true } = options;
  const server = createServer((request, response) => {
    const answer = (status: number, text: string, headers: Readonly<Record<string, string>> = {}): void => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers }).end(text);
    };
    const path = request.url?.split("?")[0];
    if (path !== "/metrics") return answer(404, "there is only /metrics here\n");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "GET it\n", { allow: "GET, HEAD" });
    render().then(
      (text) => answer(200, request.method === "HEAD" ? "" : text, { "content-type": contentType }),
      (error: unknown) => answer(500, `${error instanceof Error ? error.message : String(error)}\n`),
    );
  });
  const listening = await listenAt(server, address, isLoopbackOnly);
  server.unref();
  return {
    address: listening,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
