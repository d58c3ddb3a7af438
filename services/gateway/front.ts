import { Call } from "../../runtime/call/call.ts";
import type { Metadata } from "../../runtime/call/metadata.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import type { HttpRequest, HttpResponse } from "../../runtime/ports/http.ts";
import { httpStatus } from "../../runtime/protocols/http-status.ts";
import { ConfigReader } from "../config.ts";
import type { Caller, CallerConfig } from "../consumer/caller.ts";
import { ConfigError, type NodeContext } from "../service.ts";

/** When the call was due, in microseconds since the start of the load that the harness has announced. */
export const dueHeader = "x-flyball-due-us";

/** Headers that travel on as metadata: W3C trace context and baggage, and Dubbo's request tag. */
const forwarded = ["traceparent", "tracestate", "baggage", "dubbo.tag"] as const;
/** W3C asks for at least 8192 bytes of baggage. */
const headerCharactersMax = 8192;
const keyCharactersMax = 256;

/** What a gateway answers to HTTP requests. */
export class Front {
  readonly #context: NodeContext;
  readonly #config: CallerConfig;
  readonly #caller: Caller;
  #loadUs: number | undefined;
  #isLeaving = false;

  constructor(context: NodeContext, config: CallerConfig, caller: Caller) {
    this.#context = context;
    this.#config = config;
    this.#caller = caller;
  }

  /** Due times count from here. */
  beginLoad(startUs: number): void {
    this.#loadUs = startUs;
  }

  /** From now on it isn't healthy; calls are made all the same, for those who haven't noticed. */
  leave(): void {
    this.#isLeaving = true;
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    try {
      const { method, path } = request;
      if (path === "/do") return await this.#do(request);
      if (path === "/healthz") {
        if (method !== "GET" && method !== "HEAD") return notAllowed("GET, HEAD");
        return this.#health();
      }
      return failure(new RpcError(`there is no ${path.slice(0, 100)}`, { code: "NOT_FOUND", hint: routes }));
    } catch (error) {
      if (error instanceof ConfigError) {
        return failure(new RpcError(error.message, { code: "INVALID_ARGUMENT", hint: error.hint }));
      }
      return failure(toRpcError(error));
    }
  }

  #health(): HttpResponse {
    const { node } = this.#context;
    const state = this.#isLeaving ? "draining" : this.#caller.isReady ? "ready" : "starting";
    return { status: state === "ready" ? 200 : 503, body: { node, state, calls: this.#config.calls.service } };
  }

  async #do(request: HttpRequest): Promise<HttpResponse> {
    const isPost = request.method === "POST";
    if (!isPost && request.method !== "GET") return notAllowed("GET, POST");
    const input = isPost
      ? parseBody(request)
      : { key: request.query.get("key"), payload: request.query.get("payload") };
    this.#checkKey(input.key);
    const metadata = metadataOf(request);
    const dueUs = this.#dueUs(request);
    if (!this.#caller.isReady) {
      throw new RpcError("the gateway isn't ready", { code: "UNAVAILABLE", hint: "ask /healthz when it is" });
    }
    const call = new Call({
      clock: this.#context.clock,
      service: this.#config.calls.service,
      method: "/do",
      timeoutUs: timeoutUs(request.headers.get("grpc-timeout")),
    });
    request.onGone(() => call.cancel(new RpcError("the client has gone", { code: "CANCELLED" })));
    try {
      const { instance, payload } = await this.#caller.call({ ...input, metadata, parent: call, dueUs });
      return { status: 200, body: { instance, ...(payload !== "" && { payload }) } };
    } finally {
      call.end();
    }
  }

  #checkKey(key: string | undefined): void {
    if (key === undefined) return;
    if (key.length > keyCharactersMax) throw invalid(`a key has at most ${keyCharactersMax} characters`);
    // It travels as metadata, which is printable ASCII on gRPC's wire.
    if (this.#config.key !== undefined && !isPrintable(key)) throw invalid("a key is printable ASCII here");
  }

  #dueUs({ headers }: HttpRequest): number | undefined {
    const text = headers.get(dueHeader);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw invalid(`${dueHeader} is a whole number of microseconds`);
    if (this.#loadUs !== undefined) return this.#loadUs + Number(text);
    throw new RpcError(`no load has been announced that ${dueHeader} could count from`, {
      code: "FAILED_PRECONDITION",
      hint: `leave out ${dueHeader}: the call counts from its arrival then`,
    });
  }
}

const routes = "GET /do, GET /do?key=u7, POST /do, GET /healthz";

/** `{"key": "u7", "payload": "…"}`, both optional; no body is fine too. */
function parseBody({ body }: HttpRequest): { readonly key: string | undefined; readonly payload: string | undefined } {
  if (body.trim() === "") return { key: undefined, payload: undefined };
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw invalid("the body is no JSON", '{"key": "u7"}');
  }
  const reader = new ConfigReader(value);
  const input = { key: reader.text("key"), payload: reader.text("payload") };
  reader.end();
  return input;
}

function metadataOf({ headers }: HttpRequest): Metadata {
  const metadata = new Map<string, string>();
  for (const name of forwarded) {
    const value = headers.get(name);
    if (value === undefined || value === "") continue;
    if (value.length > headerCharactersMax) throw invalid(`${name} has at most ${headerCharactersMax} characters`);
    if (!isPrintable(value)) throw invalid(`${name} is printable ASCII`);
    metadata.set(name, value);
  }
  return metadata;
}

const unitUs: Readonly<Record<string, number>> = { n: 1e-3, u: 1, m: 1e3, S: 1e6, M: 6e7, H: 3.6e9 };

/** gRPC's own header: at most 8 digits and a unit (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */
function timeoutUs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,8})([numSMH])$/.exec(text);
  if (match === null) throw invalid("grpc-timeout is a number and a unit", 'such as "250m" for 250 ms, or "2S"');
  return Math.ceil(Number(match[1]) * unitUs[match[2]!]!);
}

const isPrintable = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

const invalid = (message: string, hint?: string): RpcError => new RpcError(message, { code: "INVALID_ARGUMENT", hint });

function notAllowed(allow: string): HttpResponse {
  return {
    status: 405,
    body: { code: "UNIMPLEMENTED", message: `only ${allow} here`, hint: routes },
    headers: { allow },
  };
}

function failure({ code, message, hint }: RpcError): HttpResponse {
  return { status: httpStatus[code], body: { code, message, ...(hint !== undefined && { hint }) } };
}
