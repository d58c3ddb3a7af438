import { Agent, request, type IncomingMessage } from "node:http";

import type { Call } from "../../call/call.ts";
import { RpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";

export interface HttpClientOptions {
  readonly clock: Clock;
  /** "host:port" */
  readonly address: string;
  /** Where an address is really dialled; asked for each request, so that a changed answer takes effect with the next one. */
  readonly dial: (address: string) => string;
  /** Connections at a time; further requests wait for one. Default: no limit. */
  readonly connectionsMax?: number | undefined;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Time until the whole answer is there. */
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** Whether it came over a connection that was made for it: then the server may be another process than the one before. */
  readonly isFirst: boolean;
  /** This machine's end of the connection. */
  readonly localAddress: string | undefined;
}

/** No registry's answer is larger than that. */
const answerBytesMax = 32 * 1024 * 1024;

/**
 * HTTP/1.1 with connections that are kept, for the APIs of registries. Rejects with an `RpcError`: UNAVAILABLE when the server
 * can't be reached, DEADLINE_EXCEEDED when it doesn't answer in time, the reason of `parent` when that is cancelled. Any status is
 * an answer.
 */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #agent: Agent;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connectionsMax ?? Infinity });
  }

  async request(wanted: HttpRequest, parent: Call): Promise<HttpAnswer> {
    for (;;) {
      const sent = await this.#send(wanted, parent);
      if (sent !== "stale") return sent;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** "stale": the server had hung up the kept connection before it saw the request. */
  #send({ method, path, headers, body, timeoutMs }: HttpRequest, parent: Call): Promise<HttpAnswer | "stale"> {
    const { clock, address, dial } = this.#options;
    const target = dial(address);
    const colon = target.lastIndexOf(":");
    return new Promise((resolve, reject) => {
      if (parent.reason !== undefined) return reject(parent.reason);
      const sending = request({
        agent: this.#agent,
        host: target.slice(0, colon).replace(/^\[(.*)\]$/, "$1"),
        port: Number(target.slice(colon + 1)),
        method,
        path,
        headers: {
          host: address,
          ...(body !== undefined && { "content-length": String(Buffer.byteLength(body)) }),
          ...headers,
        },
      });
      let reason: RpcError | undefined;
      let hasAnswer = false;
      const end = (why: RpcError): void => {
        reason ??= why;
        sending.destroy(why);
        settle();
        reject(reason);
      };
      const disarm = clock.after(timeoutMs * 1000, () =>
        end(new RpcError(`${address} didn't answer within ${timeoutMs} ms`, { code: "DEADLINE_EXCEEDED" })),
      );
      const leave = parent.onCancel(end);
      const settle = (): void => {
        disarm();
        leave();
      };
      const fail = (error: Error & { readonly code?: string }): void => {
        settle();
        const isStale = sending.reusedSocket && !hasAnswer && (error.code === "ECONNRESET" || error.code === "EPIPE");
        if (reason === undefined && isStale) resolve("stale");
        else reject(reason ?? unreachable(address, error));
      };
      sending.on("error", fail);
      sending.on("response", (response) => {
        hasAnswer = true;
        const { localAddress } = response.socket;
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("error", fail);
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          size += chunk.length;
          if (size > answerBytesMax) end(new RpcError(`${address} answers too much`, { code: "RESOURCE_EXHAUSTED" }));
        });
        response.on("end", () => {
          settle();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString("utf8"),
            isFirst: !sending.reusedSocket,
            localAddress,
          });
        });
      });
      sending.end(body);
    });
  }
}

function unreachable(address: string, cause: Error & { readonly code?: string }): RpcError {
  return new RpcError(`${address} can't be reached: ${cause.code ?? cause.message}`, { code: "UNAVAILABLE", cause });
}
