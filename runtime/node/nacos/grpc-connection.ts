import type { Call } from "../../call/call.ts";
import { RpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import { splitAddress } from "../address.ts";
import { GrpcClientCall, requestBlock, type ClientCallEvents } from "../grpc/client-call.ts";
import type { Held } from "../grpc/messages.ts";
import type { FieldBlock } from "../http2/hpack/encoder.ts";
import { Http2Session } from "../http2/session.ts";
import { connectTo } from "../tls.ts";
import { decodePayload, encodePayload, type Payload } from "./payload.ts";

export interface GrpcConnectionOptions {
  readonly clock: Clock;
  /** For people. */
  readonly address: string;
  /** Where it is dialled. */
  readonly target: string;
  readonly namespace: string;
  readonly module: "naming" | "config";
  /** The server asks or tells something; the answer goes back. Everything unknown is acknowledged. */
  readonly onRequest: (payload: Payload) => void;
  /** Once, when the connection is no more, whoever ended it. */
  readonly onEnd: () => void;
}

/** Any request is answered within this time, or fails; so is the connection itself. */
const answerWithinMs = 3_000;
/** The server takes up a connection a little after it was told of it, without saying so. */
const setUpWithinMs = 3_000;
const lookAgainUs = 20_000;
const messageBytesMax = 32 * 1024 * 1024;
/** Nacos ends connections whose client pings more often than every 5 minutes. */
const keepalive = { idleMs: 301_000, timeoutMs: 20_000 };

/**
 * One gRPC connection to a Nacos server (2.x and 3.x): what is registered over it lives as long as it does. Requests are unary
 * calls, the server's own come over one stream, and all of them share one TCP connection.
 */
export class GrpcConnection {
  readonly #options: GrpcConnectionOptions;
  readonly #session: Http2Session;
  readonly #held: Held = { bytes: 0 };
  readonly #requests: FieldBlock;
  readonly #connected = Promise.withResolvers<void>();
  /** Requests that begin once the server takes another. */
  readonly #waiting = new Set<() => void>();
  /** The server's requests, and the answers to them. */
  #stream: GrpcClientCall | undefined;
  #isEnded = false;

  private constructor(options: GrpcConnectionOptions) {
    const { clock, target } = options;
    this.#options = options;
    this.#requests = this.#block("/Request/request");
    const { bareHost: host, port } = splitAddress(target);
    const socket = connectTo({ host, port }, undefined, () => undefined);
    this.#session = new Http2Session(
      socket,
      true,
      { clock, keepalive },
      {
        onReady: () => this.#connected.resolve(),
        onRoom: () => this.#startWaiting(),
        onStream: () => undefined,
        // Whether there is another connection is its owner's decision.
        onGoaway: () => this.close(),
        onClosed: (error) => {
          this.#connected.reject(this.#unreachable(error.message));
          this.close();
        },
      },
    );
  }

  /** Resolves when the server has taken up the connection; rejects with an `RpcError`. */
  static async open(options: GrpcConnectionOptions, parent: Call): Promise<GrpcConnection> {
    const connection = new GrpcConnection(options);
    let reason: RpcError | undefined;
    const leave = parent.onCancel((why) => {
      // It may be cancelled because the connection has ended: that one's reason is the one to tell.
      if (!connection.#isEnded) reason = why;
      connection.close();
    });
    try {
      await connection.#setUp();
      return connection;
    } catch (error) {
      connection.close();
      throw reason ?? error;
    } finally {
      leave();
    }
  }

  /** Resolves with the answer's body; rejects with an `RpcError`; UNAVAILABLE also for what the server couldn't do now. */
  async request(
    type: string,
    body: Readonly<Record<string, unknown>>,
    timeoutMs = answerWithinMs,
  ): Promise<Payload["body"]> {
    const answer = await this.#ask({ type, body: { headers: {}, requestId: "", ...body } }, timeoutMs);
    const { resultCode, errorCode, message } = answer.body as {
      readonly resultCode?: number;
      readonly errorCode?: number;
      readonly message?: string;
    };
    if (resultCode === undefined || resultCode === 200) return answer.body;
    throw new RpcError(`Nacos refuses ${type}: ${message} (${errorCode ?? resultCode})`, {
      code: errorCode === 400 ? "INVALID_ARGUMENT" : errorCode === 403 ? "PERMISSION_DENIED" : "UNAVAILABLE",
    });
  }

  close(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#session.destroy(this.#gone());
    this.#startWaiting();
    this.#options.onEnd();
  }

  async #setUp(): Promise<void> {
    const { clock, namespace, module } = this.#options;
    const disarm = clock.after(answerWithinMs * 1000, () => this.#connected.reject(this.#late(answerWithinMs)));
    await this.#connected.promise.finally(disarm);
    await this.request("ServerCheckRequest", {});
    this.#listen();
    this.#tell({
      type: "ConnectionSetupRequest",
      body: {
        clientVersion: "Nacos-Node-Client:v2.2.4",
        tenant: namespace === "public" ? "" : namespace,
        labels: { source: "sdk", module },
        abilities: {},
        headers: {},
      },
    });
    const untilUs = clock.nowUs() + setUpWithinMs * 1000;
    for (;;) {
      try {
        await this.request("HealthCheckRequest", {});
        return;
      } catch (error) {
        if (this.#isEnded || clock.nowUs() > untilUs) throw error;
        await clock.sleep(lookAgainUs);
      }
    }
  }

  #ask(request: Payload, timeoutMs: number): Promise<Payload> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      let call: GrpcClientCall | undefined;
      const fail = (error: RpcError): void => {
        disarm();
        reject(error);
      };
      const begin = (): void => {
        try {
          call = this.#begin(this.#requests, {
            ...unheard,
            onMessage: (bytes) => {
              answer ??= Buffer.from(bytes);
              // What is waited for is the end.
              call!.read();
            },
            onEnd: (error) => {
              disarm();
              if (error !== undefined) return reject(this.#failure(error));
              if (answer === undefined) return reject(this.#unreachable("it answers nothing"));
              try {
                resolve(decodePayload(answer));
              } catch (cause) {
                reject(this.#unreadable(cause));
              }
            },
          });
          call.send(encodePayload(request), true);
          call.read();
        } catch (error) {
          fail(error as RpcError);
        }
      };
      const disarm = this.#options.clock.after(timeoutMs * 1000, () => {
        this.#waiting.delete(begin);
        call?.cancel();
        reject(this.#late(timeoutMs));
      });
      this.#waiting.add(begin);
      this.#startWaiting();
    });
  }

  /** In the order in which they came; who comes when all is over is told so. */
  #startWaiting(): void {
    for (const begin of this.#waiting) {
      if (!this.#isEnded && !this.#session.hasRoom) return;
      this.#waiting.delete(begin);
      begin();
    }
  }

  #listen(): void {
    if (!this.#session.hasRoom) throw this.#unreachable("it takes no stream");
    const stream = this.#begin(this.#block("/BiRequestStream/requestBiStream"), {
      ...unheard,
      onMessage: (bytes) => {
        this.#hear(bytes);
        stream.read();
      },
      // The server's side of it has ended, and with it what the connection is for.
      onEnd: () => this.close(),
    });
    this.#stream = stream;
    stream.read();
  }

  /** Throws UNAVAILABLE where the connection has ended. */
  #begin(block: FieldBlock, events: ClientCallEvents): GrpcClientCall {
    if (this.#isEnded) throw this.#gone();
    const options = { messageBytesMax, held: this.#held, peer: "Nacos" };
    return GrpcClientCall.begin(this.#session, { block, list: [] }, options, events);
  }

  #block(path: string): FieldBlock {
    return requestBlock({ path, authority: this.#options.target, isSecure: false, subtype: undefined });
  }

  #tell(payload: Payload): void {
    this.#stream?.send(encodePayload(payload));
  }

  #hear(bytes: Buffer): void {
    if (this.#isEnded) return;
    let payload: Payload;
    try {
      payload = decodePayload(bytes);
    } catch {
      return this.close();
    }
    const { requestId } = payload.body;
    const type = payload.type.replace(/Request$/, "Response");
    if (type !== payload.type) this.#tell({ type, body: { resultCode: 200, errorCode: 0, success: true, requestId } });
    if (payload.type === "ConnectResetRequest") this.close();
    else this.#options.onRequest(payload);
  }

  #failure(error: RpcError): RpcError {
    return this.#isEnded ? this.#gone() : this.#unreachable(error.message, error.code);
  }

  #unreachable(why: string, code: RpcError["code"] = "UNAVAILABLE"): RpcError {
    return new RpcError(`${this.#options.address} can't be reached over gRPC: ${why}`, {
      code: code === "CANCELLED" ? "UNAVAILABLE" : code,
      hint: "Nacos listens for gRPC on the port 1000 above its HTTP port",
    });
  }

  #unreadable(cause: unknown): RpcError {
    return new RpcError(`${this.#options.address} answers what isn't Nacos's`, { code: "INTERNAL", cause });
  }

  #late(ms: number): RpcError {
    return new RpcError(`${this.#options.address} didn't answer within ${ms} ms`, { code: "DEADLINE_EXCEEDED" });
  }

  #gone(): RpcError {
    return new RpcError(`the connection to ${this.#options.address} has ended`, { code: "UNAVAILABLE" });
  }
}

/** What neither requests nor the stream wait for: beginnings, and room for more. */
const unheard = { onHeaders: () => undefined, onDrain: () => undefined };

/** Where the server of this HTTP address listens for gRPC. */
export function grpcAddress(httpAddress: string): string {
  const colon = httpAddress.lastIndexOf(":");
  return `${httpAddress.slice(0, colon)}:${Number(httpAddress.slice(colon + 1)) + 1000}`;
}
