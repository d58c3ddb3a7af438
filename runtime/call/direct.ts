import type { DescService } from "@bufbuild/protobuf";

import type { Clock } from "../ports/clock.ts";
import type { Transport } from "../ports/transport.ts";
import type { CallLog } from "../telemetry/call-log.ts";
import { Call } from "./call.ts";
import { stubOf, type Channel } from "./client.ts";
import { RequestStream } from "./request-stream.ts";
import { takesStream, type Method, type Stub, type StubOptions } from "./service.ts";
import { toRpcError, type RpcCode, type RpcError } from "./status.ts";
import { observedStream } from "./stream.ts";

export interface DirectOptions {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly calls: CallLog;
  /** The service's name in telemetry: "registry". */
  readonly service: string;
  /** "host:port" */
  readonly address: string;
  /** Default 1000. Streams have no timeout unless the call says so. */
  readonly timeoutMs?: number;
}

/** A stub for one address, ungoverned: how registry and config centre themselves are reached. */
export function directStub<S extends DescService>(schema: S, options: DirectOptions): Stub<S> {
  return stubOf(schema, new DirectChannel(options));
}

class DirectChannel implements Channel {
  readonly #options: DirectOptions;

  constructor(options: DirectOptions) {
    this.#options = options;
  }

  async start(method: Method<unknown, unknown>, init: unknown, options: StubOptions): Promise<unknown> {
    const request = requestOf(method, init);
    const { clock, transport, calls, service, address } = this.#options;
    const timeoutMs = options.timeoutMs ?? (method.kind === "unary" ? (this.#options.timeoutMs ?? 1000) : undefined);
    const call = new Call({
      clock,
      service,
      method: method.path,
      metadata: options.metadata,
      timeoutUs: timeoutMs === undefined ? undefined : timeoutMs * 1000,
      parent: options.parent,
      id: calls.next(),
    });
    const record = { instance: service, beginUs: clock.nowUs(), endUs: -1, code: "OK" as RpcCode };
    calls.begin(call, {});
    const ended = (error?: RpcError): void => {
      record.endUs = clock.nowUs();
      record.code = error?.code ?? "OK";
      if (request instanceof RequestStream) void request.return();
      call.end();
      calls.end(call, [record], error);
    };
    try {
      const response = await transport.invoke(address, method, call, request);
      if (response.kind === "stream") return observedStream(response.messages, ended, call);
      ended();
      return response.message;
    } catch (thrown) {
      const error = call.reason ?? toRpcError(thrown);
      ended(error);
      throw error;
    }
  }
}

function requestOf(method: Method<unknown, unknown>, init: unknown): unknown {
  try {
    return takesStream(method) ? new RequestStream(init, method.input, method.path) : method.input.create(init);
  } catch (error) {
    throw toRpcError(error);
  }
}
