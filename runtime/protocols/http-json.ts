import { whileWaiting, type Call } from "../call/call.ts";
import { inCodec, replyFrom, takesStream, type Method } from "../call/service.ts";
import type { Metadata } from "../call/metadata.ts";
import { RpcError, toRpcError, type RpcCode } from "../call/status.ts";
import type { HttpRequest, HttpResponse } from "../ports/http.ts";
import type { ServedMethod, StreamResponse } from "../ports/transport.ts";
import { envelope, EnvelopeReader, flags, oneEnvelope } from "./envelope.ts";
import { headersOf, mediaTypeOf, timeoutHeader, timeoutText, trailersFrom, trailersOf } from "./http-headers.ts";
import { codeOfStatus, codeOfWire, httpStatus, wireCode } from "./http-status.ts";
import {
  preferring,
  record,
  servedCall,
  textOf,
  utf8,
  wholeBody,
  type HttpProtocol,
  type IncomingResponse,
  type Serving,
} from "./protocol.ts";
import { detailsIn, detailsTrailer } from "./status-details.ts";

/**
 * Plain HTTP: `POST /package.Service/Method` with the request as JSON (or protobuf) in the body, the reply in the answer's, and a
 * status that HTTP tools understand. It is the Connect protocol (https://connectrpc.com/docs/protocol), so that curl, connect
 * clients and dubbo-go call our providers and are called by our consumers. Streams are Connect's: a chain of envelopes.
 */
export const httpJson: HttpProtocol = {
  name: "http",

  answer: (serving) => (request) => answer(serving, request),

  errorBody: (error) => errorBody(error),

  request: (wanted, call, message) => {
    const method = preferring("json", wanted);
    const isStream = method.kind !== "unary";
    const leftUs = call.remainingUs();
    const body = method.input.encode(message);
    return {
      path: method.path,
      headers: {
        ...headersOf(call.metadata),
        "content-type": `application/${isStream ? "connect+" : ""}${method.codecName}`,
        "connect-protocol-version": "1",
        ...(leftUs !== Infinity && { [timeoutHeader]: timeoutText(leftUs) }),
      },
      body: isStream ? envelope(0, body) : body,
    };
  },

  response: async (wanted, incoming, messageBytesMax) => {
    const method = preferring("json", wanted);
    if (incoming.status !== 200) throw await errorOf(incoming, messageBytesMax);
    if (method.kind !== "unary") return { kind: "stream", messages: messagesOf(method, incoming, messageBytesMax) };
    const bytes = await wholeBody(incoming.body, messageBytesMax);
    return { kind: "unary", message: replyFrom(method, bytes), trailers: trailersFrom(incoming.headers) };
  },
};

async function answer({ clock, methods }: Serving, request: HttpRequest): Promise<HttpResponse> {
  const served = methods.get(request.path);
  if (served === undefined) {
    const hint = `POST ${[...methods.keys()].slice(0, 10).join(", ")}`;
    return failure(new RpcError(`there is no ${request.path.slice(0, 100)}`, { code: "UNIMPLEMENTED", hint }), 404);
  }
  if (request.method !== "POST") {
    const error = new RpcError("methods are called by POST", { code: "UNIMPLEMENTED" });
    return { ...failure(error, 405), headers: { allow: "POST" } };
  }
  if (takesStream(served.method)) {
    const hint = "call it over HTTP/2, as gRPC does";
    return failure(new RpcError("a client can't stream over HTTP/1.1", { code: "UNIMPLEMENTED", hint }), 501);
  }
  const isStream = served.method.kind !== "unary";
  const wanted = /^application\/(connect\+)?([a-z0-9.-]+)$/.exec(mediaTypeOf(request.headers));
  const method = wanted === null ? undefined : inCodec(served.method, wanted[2]!);
  if (method === undefined || (wanted![1] !== undefined) !== isStream) {
    const type = `application/${isStream ? "connect+" : ""}json`;
    const error = new RpcError("the content type isn't spoken here", {
      code: "UNIMPLEMENTED",
      hint: `send it with "content-type: ${type}", or with proto for json`,
    });
    return { ...failure(error, 415), headers: { "accept-post": type } };
  }
  const version = request.headers.get("connect-protocol-version") ?? "1";
  if (version !== "1") {
    const said = `connect-protocol-version ${version.slice(0, 100)} isn't spoken here`;
    return failure(new RpcError(said, { code: "INVALID_ARGUMENT", hint: "say 1, or nothing" }));
  }
  let call: Call;
  try {
    const message = isStream ? oneEnvelope(request.bytes) : request.bytes;
    call = servedCall(clock, method.path, request, decoded(method, message));
  } catch (error) {
    return failure(toRpcError(error));
  }
  try {
    const response = await served.serve(call, call.request);
    if ((response.kind === "stream") !== isStream) {
      throw new RpcError("a stream answered a unary call, or one message a stream", { code: "INTERNAL" });
    }
    if (response.kind === "stream") return streaming(method, call, response);
    const bytes = method.output.encode(response.message);
    call.end();
    return {
      status: 200,
      body: bytes,
      headers: { "content-type": `application/${method.codecName}`, ...trailersOf(response.trailers) },
    };
  } catch (thrown) {
    call.end();
    return failure(toRpcError(thrown));
  }
}

function decoded(method: Method<unknown, unknown>, bytes: Uint8Array): unknown {
  try {
    // curl without -d: the message with nothing set.
    return bytes.length === 0 && method.codecName === "json" ? method.input.create({}) : method.input.decode(bytes);
  } catch (cause) {
    const why = cause instanceof Error ? `: ${cause.message.slice(0, 200)}` : "";
    throw new RpcError(`the request of ${method.path} is malformed${why}`, { code: "INVALID_ARGUMENT", cause });
  }
}

function failure(error: RpcError, status = httpStatus[error.code]): HttpResponse {
  return { status, body: errorBody(error), headers: trailersOf(error.trailers) };
}

function errorBody({ code, message, hint, trailers }: RpcError): object {
  const details = detailsIn(trailers);
  return {
    code: wireCode(code),
    message,
    ...(hint !== undefined && { hint }),
    ...(details.length > 0 && { details }),
  };
}

/** The error that a body of `errorBody`'s form tells, with whatever came beside it. */
function errorIn(
  error: Readonly<Record<string, unknown>>,
  code: Exclude<RpcCode, "OK">,
  metadata: Metadata | readonly (readonly [string, string])[],
): RpcError {
  const message = typeof error["message"] === "string" ? error["message"] : "";
  const details = Array.isArray(error["details"]) ? detailsTrailer({ code, message }, error["details"]) : undefined;
  return new RpcError(message, { code, trailers: new Map(details === undefined ? metadata : [...metadata, details]) });
}

function streaming(method: ServedMethod["method"], call: Call, response: StreamResponse): HttpResponse {
  return {
    status: 200,
    body: envelopes(method, call, response),
    headers: { "content-type": `application/connect+${method.codecName}` },
    onOver: (listener) => void call.onCancel(listener),
  };
}

/** Asked for the next one when the last has gone; how the stream ended comes as the last envelope. */
async function* envelopes(
  method: ServedMethod["method"],
  call: Call,
  response: StreamResponse,
): AsyncGenerator<Uint8Array> {
  const messages = response.messages[Symbol.asyncIterator]();
  let end: object = {};
  try {
    for (;;) {
      const next = await whileWaiting(call, messages.next());
      if (next.done === true) break;
      yield envelope(0, method.output.encode(next.value));
    }
  } catch (thrown) {
    const error = toRpcError(thrown);
    end = {
      error: errorBody(error),
      metadata: Object.fromEntries([...error.trailers].map(([key, value]) => [key, [value]])),
    };
  } finally {
    // Not awaited: a generator that is stuck in a wait of its own would hold the stream open.
    messages.return?.().catch(() => undefined);
    call.end();
  }
  yield envelope(flags.end, utf8.encode(JSON.stringify(end)));
}

async function* messagesOf(
  method: Method<unknown, unknown>,
  { body }: IncomingResponse,
  messageBytesMax: number,
): AsyncGenerator<unknown> {
  const reader = new EnvelopeReader(messageBytesMax);
  for await (const chunk of body) {
    for (const { flag, bytes } of reader.push(chunk)) {
      if ((flag & flags.end) !== 0) {
        const error = endOf(bytes);
        if (error !== undefined) throw error;
        return;
      }
      yield replyFrom(method, bytes);
    }
  }
  throw new RpcError("the stream broke off", { code: "UNAVAILABLE" });
}

/** The error that a stream ended with, if any. */
function endOf(bytes: Uint8Array): RpcError | undefined {
  const end = parsed(bytes);
  const error = record(end?.["error"]);
  if (error === undefined) return undefined;
  const trailers = Object.entries(record(end?.["metadata"]) ?? {}).map(([key, values]): [string, string] => [
    key.toLowerCase(),
    Array.isArray(values) ? values.join(",") : String(values),
  ]);
  return errorIn(error, codeOfWire(error["code"]) ?? "UNKNOWN", trailers);
}

/** The error that an answer tells: in its body, or, where that is somebody else's, by its status. */
export async function errorOf({ status, headers, body }: IncomingResponse, bytesMax: number): Promise<RpcError> {
  const error = parsed(await wholeBody(body, bytesMax));
  const code = codeOfWire(error?.["code"]);
  const trailers = trailersFrom(headers);
  if (error === undefined || code === undefined) {
    return new RpcError(`the answer was HTTP ${status}`, { code: codeOfStatus(status), trailers });
  }
  return errorIn(error, code, trailers);
}

function parsed(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    return record(JSON.parse(textOf(bytes)));
  } catch {
    return undefined;
  }
}
