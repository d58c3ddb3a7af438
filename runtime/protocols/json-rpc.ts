import { whileWaiting, type Call } from "../call/call.ts";
import { fromBase64, toBase64 } from "../codec/base64.ts";
import { inCodec, malformedReply, type Method } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { HttpRequest, HttpResponse } from "../ports/http.ts";
import type { ServedMethod, StreamResponse } from "../ports/transport.ts";
import { headersOf, timeoutHeader, timeoutText, trailersFrom, trailersOf } from "./http-headers.ts";
import { errorOf } from "./http-json.ts";
import {
  answerText,
  failed,
  JsonRpcError,
  jsonRpcCodes,
  readRequest,
  toRpc,
  type JsonRpcRequest,
  type Params,
  type Procedure,
} from "./json-rpc-message.ts";
import {
  joined,
  preferring,
  record,
  servedCall,
  textOf,
  tooLarge,
  utf8,
  wholeBody,
  type HttpProtocol,
  type IncomingResponse,
  type Serving,
} from "./protocol.ts";

/** Says in which codec params and result are, where that isn't JSON: then each is one base64 text. */
const codecHeader = "rpc-codec";
/** A client that takes a stream says so. */
const linesType = "application/x-ndjson";
/** A stream's message: a notification in the name space that the specification keeps for extensions. */
const messageMethod = "rpc.message";

/**
 * JSON-RPC 2.0 over HTTP (https://www.jsonrpc.org/specification, https://www.jsonrpc.org/historical/json-rpc-over-http.html), as
 * Dubbo's `jsonrpc` protocol has it: `POST /package.Service` with method "Method", or any path with "package.Service/Method".
 * Params by name are the request message as ProtoJSON; by position they are its fields in the order of their numbers, or the one
 * message. A server-streaming method answers lines: a notification `rpc.message` for each message, then the response.
 */
export const jsonRpc: HttpProtocol = {
  name: "jsonrpc",

  answer: (serving) => (request) => answer(serving, request),

  request: (wanted, call, message) => {
    const method = preferring("json", wanted);
    const slash = method.path.lastIndexOf("/");
    const isJson = method.codecName === "json";
    const leftUs = call.remainingUs();
    const bytes = method.input.encode(message);
    const params = isJson ? textOf(bytes) : JSON.stringify([toBase64(bytes)]);
    const name = JSON.stringify(method.path.slice(slash + 1));
    return {
      path: method.path.slice(0, slash),
      headers: {
        ...headersOf(call.metadata),
        "content-type": "application/json",
        accept: method.kind === "unary" ? "application/json" : linesType,
        ...(!isJson && { [codecHeader]: method.codecName }),
        ...(leftUs !== Infinity && { [timeoutHeader]: timeoutText(leftUs) }),
      },
      // Already JSON: nothing is parsed to be written again.
      body: utf8.encode(`{"jsonrpc":"2.0","id":1,"method":${name},"params":${params}}`),
    };
  },

  response: async (wanted, incoming, messageBytesMax) => {
    const method = preferring("json", wanted);
    if (incoming.status !== 200) throw await errorOf(incoming, messageBytesMax);
    const isLines = incoming.headers.get("content-type")?.startsWith(linesType) === true;
    if (method.kind !== "unary" && isLines) {
      return { kind: "stream", messages: messagesOf(method, incoming, messageBytesMax) };
    }
    const bytes = await wholeBody(incoming.body, messageBytesMax + envelopeBytesMax);
    const result = resultOf(method, parseJson(method, bytes));
    return { kind: "unary", message: decodeResult(method, result), trailers: trailersFrom(incoming.headers) };
  },
};

/** What stands around a message. */
const envelopeBytesMax = 64 * 1024;

async function answer(serving: Serving, request: HttpRequest): Promise<HttpResponse> {
  if (request.method !== "POST") {
    const error = new RpcError("JSON-RPC is called by POST", { code: "UNIMPLEMENTED" });
    return { status: 405, body: failed(null, error), headers: { allow: "POST" } };
  }
  if (request.headers.get("accept") === linesType) {
    const stream = await answerStream(serving, request);
    if (stream !== undefined) return stream;
  }
  let headers: Record<string, string> = {};
  const replies = await answerText(request.body, (name) =>
    procedureOf(serving, request, name, (own) => {
      headers = own;
    }),
  );
  if (replies === undefined) return { status: 204, body: undefined };
  return { status: 200, body: replies, headers: Array.isArray(replies) ? {} : headers };
}

function methodOf({ methods }: Serving, { path }: HttpRequest, name: string): ServedMethod | undefined {
  if (name.startsWith("rpc.")) return undefined;
  return name.includes("/") ? methods.get(name.startsWith("/") ? name : `/${name}`) : methods.get(`${path}/${name}`);
}

function procedureOf(
  serving: Serving,
  request: HttpRequest,
  name: string,
  onTrailers: (headers: Record<string, string>) => void,
): Procedure | undefined {
  const served = methodOf(serving, request, name);
  if (served === undefined) return undefined;
  return async (params) => {
    const { method, call } = begin(serving, request, served, params);
    try {
      if (method.kind !== "unary") {
        throw new RpcError(`${method.path} answers a stream`, {
          code: "FAILED_PRECONDITION",
          hint: `ask alone, with "accept: ${linesType}"`,
        });
      }
      const response = await served.serve(call, call.request);
      if (response.kind !== "unary") throw new RpcError("a stream answered a unary call", { code: "INTERNAL" });
      onTrailers(trailersOf(response.trailers));
      return encodeResult(method, response.message);
    } catch (thrown) {
      const error = toRpcError(thrown);
      onTrailers(trailersOf(error.trailers));
      throw error;
    } finally {
      call.end();
    }
  };
}

/** The call that a request of a text makes. Throws a `JsonRpcError` for params that make no message. */
function begin({ clock }: Serving, request: HttpRequest, served: ServedMethod, params: Params) {
  const codecName = request.headers.get(codecHeader) ?? "json";
  const method = inCodec(served.method, codecName);
  if (method === undefined) throw new RpcError(`the codec ${codecName.slice(0, 100)}`, { code: "UNIMPLEMENTED" });
  let message: unknown;
  try {
    message = messageOf(method, params);
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 200) : undefined;
    throw new JsonRpcError(jsonRpcCodes.invalidParams, "Invalid params", why);
  }
  return { method, call: servedCall(clock, served.method.path, request, message) };
}

function messageOf({ input, codecName }: Method<unknown, unknown>, params: Params): unknown {
  if (codecName !== "json") {
    const [text] = Array.isArray(params) ? (params as unknown[]) : [];
    if (typeof text !== "string") throw new Error(`params are one text: ${codecName} as base64`);
    return input.decode(fromBase64(text));
  }
  return input.decode(utf8.encode(JSON.stringify(byName(params, input.fields))));
}

function byName(params: Params, fields: readonly string[] | undefined): unknown {
  if (params === undefined) return {};
  if (!Array.isArray(params)) return params;
  const values = params as readonly unknown[];
  if (values.length === 1 && record(values[0]) !== undefined) return values[0];
  if (fields === undefined || values.length > fields.length) {
    throw new Error(`${values.length} params; there are ${fields?.length ?? 0} fields`);
  }
  return Object.fromEntries(values.map((value, index) => [fields[index]!, value]));
}

function encodeResult({ output, codecName }: Method<unknown, unknown>, message: unknown): unknown {
  const bytes = output.encode(message);
  return codecName === "json" ? (JSON.parse(textOf(bytes)) as unknown) : toBase64(bytes);
}

function decodeResult(method: Method<unknown, unknown>, result: unknown): unknown {
  try {
    if (method.codecName === "json") return method.output.decode(utf8.encode(JSON.stringify(result)));
    return method.output.decode(fromBase64(result as string));
  } catch (cause) {
    throw malformedReply(method, cause);
  }
}

/** The lines of a stream; undefined where the text isn't one request for a stream. */
async function answerStream(serving: Serving, request: HttpRequest): Promise<HttpResponse | undefined> {
  let asked: JsonRpcRequest | undefined;
  try {
    asked = readRequest(JSON.parse(request.body));
  } catch {
    return undefined;
  }
  const served = asked === undefined ? undefined : methodOf(serving, request, asked.method);
  if (asked === undefined || served === undefined || served.method.kind === "unary" || asked.isNotification) {
    return undefined;
  }
  let call: Call | undefined;
  try {
    const begun = begin(serving, request, served, asked.params);
    call = begun.call;
    const response = await served.serve(call, call.request);
    if (response.kind !== "stream") throw new RpcError("one message answered a stream", { code: "INTERNAL" });
    const body = lines(begun.method, call, response, asked.id);
    return { status: 200, body, headers: { "content-type": linesType } };
  } catch (error) {
    call?.end();
    return { status: 200, body: failed(asked.id, error) };
  }
}

async function* lines(
  method: Method<unknown, unknown>,
  call: Call,
  response: StreamResponse,
  id: JsonRpcRequest["id"],
): AsyncGenerator<Uint8Array> {
  const messages = response.messages[Symbol.asyncIterator]();
  let last: object = { jsonrpc: "2.0", result: null, id };
  try {
    for (;;) {
      const next = await whileWaiting(call, messages.next());
      if (next.done === true) break;
      yield line({ jsonrpc: "2.0", method: messageMethod, params: [encodeResult(method, next.value)] });
    }
  } catch (error) {
    last = failed(id, error);
  } finally {
    // Not awaited: a generator that is stuck in a wait of its own would hold the stream open.
    messages.return?.().catch(() => undefined);
    call.end();
  }
  yield line(last);
}

const line = (value: object): Uint8Array => utf8.encode(`${JSON.stringify(value)}\n`);

async function* messagesOf(
  method: Method<unknown, unknown>,
  { body }: IncomingResponse,
  messageBytesMax: number,
): AsyncGenerator<unknown> {
  for await (const bytes of linesOf(body, messageBytesMax + envelopeBytesMax)) {
    const value = parseJson(method, bytes);
    if (value["method"] !== messageMethod) {
      resultOf(method, value);
      return;
    }
    yield decodeResult(method, (value["params"] as readonly unknown[] | undefined)?.[0]);
  }
  throw new RpcError("the stream broke off", { code: "UNAVAILABLE" });
}

async function* linesOf(body: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      chunks.push(chunk.subarray(from, end));
      yield joined(chunks, length + end - from);
      chunks = [];
      length = 0;
      from = end + 1;
    }
    if (from < chunk.length) chunks.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > bytesMax) throw tooLarge("a line", bytesMax);
  }
}

const newline = 10;

function parseJson(method: Method<unknown, unknown>, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value = record(JSON.parse(textOf(bytes)));
    if (value !== undefined) return value;
  } catch (cause) {
    throw malformedReply(method, cause);
  }
  throw malformedReply(method);
}

function resultOf(method: Method<unknown, unknown>, reply: Readonly<Record<string, unknown>>): unknown {
  if (reply["error"] !== undefined) throw toRpc(reply["error"]);
  if (reply["jsonrpc"] !== "2.0" || !("result" in reply)) throw malformedReply(method);
  return reply["result"];
}
