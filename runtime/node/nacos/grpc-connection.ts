import {
  Client,
  credentials,
  logVerbosity,
  Metadata,
  setLogVerbosity,
  status as grpcStatus,
  type ClientDuplexStream,
  type ServiceError,
} from "@grpc/grpc-js";

import type { Call } from "../../call/call.ts";
import { RpcError, rpcCodeOf } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
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

/** Any request is answered within this time, or fails. */
const answerWithinMs = 3_000;
/** The server takes up a connection a little after it was told of it, without saying so. */
const setUpWithinMs = 3_000;
const lookAgainUs = 20_000;

/**
 * One gRPC connection to a Nacos server (2.x and 3.x): what is registered over it lives as long as it does. Requests are unary
 * calls, the server's own come over one stream, and all of them share one TCP connection.
 */
export class GrpcConnection {
  readonly #options: GrpcConnectionOptions;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Payload, Payload>;
  #isEnded = false;

  private constructor(options: GrpcConnectionOptions) {
    this.#options = options;
    this.#client = new Client(options.target, credentials.createInsecure(), {
      // A connection of its own: it is the session.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": 32 * 1024 * 1024,
      "grpc.enable_retries": 0,
      // Whether there is another try is its owner's decision.
      "grpc.initial_reconnect_backoff_ms": 3_600_000,
      "grpc.max_reconnect_backoff_ms": 3_600_000,
    });
    this.#stream = this.#client.makeBidiStreamRequest(
      "/BiRequestStream/requestBiStream",
      encodePayload,
      decodePayload,
      new Metadata(),
    );
    this.#stream.on("data", (payload: Payload) => this.#onRequest(payload));
    this.#stream.on("error", () => this.close());
    this.#stream.on("end", () => this.close());
  }

  /** Resolves when the server has taken up the connection; rejects with an `RpcError`. */
  static async open(options: GrpcConnectionOptions, parent: Call): Promise<GrpcConnection> {
    const connection = new GrpcConnection(options);
    const leave = parent.onCancel(() => connection.close());
    try {
      await connection.#setUp();
      return connection;
    } catch (error) {
      connection.close();
      throw parent.reason ?? error;
    } finally {
      leave();
    }
  }

  /** Resolves with the answer's body; rejects with an `RpcError`; UNAVAILABLE also for what the server couldn't do now. */
  request(type: string, body: Readonly<Record<string, unknown>>, timeoutMs = answerWithinMs): Promise<Payload["body"]> {
    return new Promise((resolve, reject) => {
      if (this.#isEnded) return reject(this.#gone());
      const { clock } = this.#options;
      const sent: Payload = { type, body: { headers: {}, requestId: "", ...body } };
      const call = this.#client.makeUnaryRequest(
        "/Request/request",
        encodePayload,
        decodePayload,
        sent,
        new Metadata(),
        (error: ServiceError | null, answer?: Payload) => {
          disarm();
          if (error !== null) return reject(this.#failure(error, isLate ? timeoutMs : undefined));
          const { resultCode, errorCode, message } = answer!.body as {
            readonly resultCode?: number;
            readonly errorCode?: number;
            readonly message?: string;
          };
          if (resultCode === undefined || resultCode === 200) return resolve(answer!.body);
          reject(
            new RpcError(`Nacos refuses ${type}: ${message} (${errorCode ?? resultCode})`, {
              code: errorCode === 400 ? "INVALID_ARGUMENT" : errorCode === 403 ? "PERMISSION_DENIED" : "UNAVAILABLE",
            }),
          );
        },
      );
      let isLate = false;
      const disarm = clock.after(timeoutMs * 1000, () => {
        isLate = true;
        call.cancel();
      });
    });
  }

  close(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stream.on("error", () => undefined);
    this.#stream.cancel();
    this.#client.close();
    this.#options.onEnd();
  }

  async #setUp(): Promise<void> {
    const { clock, namespace, module } = this.#options;
    await this.request("ServerCheckRequest", {});
    this.#stream.write({
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

  #onRequest(payload: Payload): void {
    if (this.#isEnded) return;
    const { requestId } = payload.body;
    const type = payload.type.replace(/Request$/, "Response");
    if (type !== payload.type) {
      this.#stream.write({ type, body: { resultCode: 200, errorCode: 0, success: true, requestId } });
    }
    if (payload.type === "ConnectResetRequest") this.close();
    else this.#options.onRequest(payload);
  }

  #failure(error: ServiceError, lateMs: number | undefined): RpcError {
    const { address } = this.#options;
    if (lateMs !== undefined) {
      return new RpcError(`${address} didn't answer within ${lateMs} ms`, { code: "DEADLINE_EXCEEDED" });
    }
    if (this.#isEnded && error.code === grpcStatus.CANCELLED) return this.#gone();
    const code = rpcCodeOf(error.code);
    return new RpcError(`${address} can't be reached over gRPC: ${error.details}`, {
      code: code === "OK" || code === "CANCELLED" ? "UNAVAILABLE" : code,
      hint: "Nacos listens for gRPC on the port 1000 above its HTTP port",
    });
  }

  #gone(): RpcError {
    return new RpcError(`the connection to ${this.#options.address} has ended`, { code: "UNAVAILABLE" });
  }
}

/** Where the server of this HTTP address listens for gRPC. */
export function grpcAddress(httpAddress: string): string {
  const colon = httpAddress.lastIndexOf(":");
  return `${httpAddress.slice(0, colon)}:${Number(httpAddress.slice(colon + 1)) + 1000}`;
}

// Every failure reaches somebody as an `RpcError`; the library would print it to stderr as well.
setLogVerbosity(logVerbosity.NONE);
