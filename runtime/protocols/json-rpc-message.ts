import { RpcError, rpcCodes, toRpcError } from "../call/status.ts";
import { codeOfWire } from "./http-status.ts";
import { record, utf8 } from "./protocol.ts";

/** JSON-RPC 2.0 (https://www.jsonrpc.org/specification): requests, notifications and batches, without any transport. */

/** The error codes of the specification's section 5.1. */
export const jsonRpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** -32000 to -32099 are the server's own: here -32000 minus the number of the status code, -32014 for UNAVAILABLE. */
  serverError: -32000,
} as const;

/** An answer that is an error. */
export class JsonRpcError extends Error {
  override readonly name = "JsonRpcError";
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** By position, by name, or none. */
export type Params = readonly unknown[] | Readonly<Record<string, unknown>> | undefined;

/** Answers a result; throws a `JsonRpcError`, or what becomes one. */
export type Procedure = (params: Params) => Promise<unknown>;

export type Id = string | number | null;

export type Reply =
  | { readonly jsonrpc: "2.0"; readonly result: unknown; readonly id: Id }
  | { readonly jsonrpc: "2.0"; readonly error: object; readonly id: Id };

/** Requests in one batch; a longer one is refused whole, in one answer: it would be answered with many times its own size. */
export const batchMax = 1000;
/** Of a batch, how many are worked on at a time. */
const batchAtATime = 32;
/** Answers of a batch together; those after that are refused RESOURCE_EXHAUSTED. */
export const batchBytesMax = 16 * 1024 * 1024;

/** The answer to a text: one, a batch of them, or undefined where nothing but notifications came. Never rejects. */
export async function answerText(
  text: string,
  find: (method: string) => Procedure | undefined,
): Promise<Reply | readonly Reply[] | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return failed(null, new JsonRpcError(jsonRpcCodes.parseError, "Parse error"));
  }
  if (!Array.isArray(value)) return answerOne(value, find);
  if (value.length === 0) return failed(null, invalidRequest());
  if (value.length > batchMax) {
    return failed(null, invalidRequest(`a batch has at most ${batchMax} requests, not ${value.length}`));
  }
  return answerBatch(value, find);
}

async function answerBatch(
  requests: readonly unknown[],
  find: (method: string) => Procedure | undefined,
): Promise<readonly Reply[] | undefined> {
  const replies: (Reply | undefined)[] = [];
  let bytes = 0;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < requests.length) {
      const index = next++;
      const reply = bytes > batchBytesMax ? refused(requests[index]) : await answerOne(requests[index], find);
      replies[index] = reply;
      if (reply !== undefined) bytes += utf8.encode(JSON.stringify(reply)).length;
    }
  };
  await Promise.all(Array.from({ length: Math.min(batchAtATime, requests.length) }, work));
  const answered = replies.filter((reply) => reply !== undefined);
  return answered.length === 0 ? undefined : answered;
}

async function answerOne(value: unknown, find: (method: string) => Procedure | undefined): Promise<Reply | undefined> {
  const request = readRequest(value);
  if (request === undefined) return failed(null, invalidRequest());
  const { id, method, params, isNotification } = request;
  let reply: Reply;
  try {
    const procedure = find(method);
    if (procedure === undefined) throw new JsonRpcError(jsonRpcCodes.methodNotFound, "Method not found");
    const result = await procedure(params);
    reply = { jsonrpc: "2.0", result: result === undefined ? null : result, id };
  } catch (error) {
    reply = failed(id, error);
  }
  return isNotification ? undefined : reply;
}

function refused(value: unknown): Reply | undefined {
  const request = readRequest(value);
  if (request?.isNotification === true) return undefined;
  const error = new RpcError(`the batch's answers are larger than ${batchBytesMax} bytes`, {
    code: "RESOURCE_EXHAUSTED",
  });
  return failed(request?.id ?? null, error);
}

export interface JsonRpcRequest {
  readonly id: Id;
  readonly method: string;
  readonly params: Params;
  /** Nobody wants an answer. */
  readonly isNotification: boolean;
}

/** Undefined where the value is no request. */
export function readRequest(value: unknown): JsonRpcRequest | undefined {
  const request = record(value);
  if (request === undefined || request["jsonrpc"] !== "2.0") return undefined;
  const { method, params } = request;
  const isNotification = !Object.hasOwn(request, "id");
  const id = isNotification ? null : request["id"];
  if (typeof method !== "string" || !isId(id)) return undefined;
  if (params !== undefined && (typeof params !== "object" || params === null)) return undefined;
  return { id, method, params: params as Params, isNotification };
}

const isId = (id: unknown): id is Id => id === null || typeof id === "string" || typeof id === "number";

const invalidRequest = (why?: string): JsonRpcError =>
  new JsonRpcError(jsonRpcCodes.invalidRequest, "Invalid Request", why);

export function failed(id: Id, thrown: unknown): Reply {
  const { code, message, data } = thrown instanceof JsonRpcError ? thrown : fromRpc(toRpcError(thrown));
  return { jsonrpc: "2.0", error: { code, message, ...(data !== undefined && { data }) }, id };
}

/** A status as an error; what it really was stands in `data`. */
function fromRpc({ code, message, trailers }: RpcError): JsonRpcError {
  const data = { code, ...(trailers.size > 0 && { trailers: Object.fromEntries(trailers) }) };
  return new JsonRpcError(numberOf(code), message, data);
}

function numberOf(code: RpcError["code"]): number {
  if (code === "UNIMPLEMENTED") return jsonRpcCodes.methodNotFound;
  if (code === "INVALID_ARGUMENT") return jsonRpcCodes.invalidParams;
  if (code === "INTERNAL") return jsonRpcCodes.internalError;
  return jsonRpcCodes.serverError - rpcCodes.indexOf(code);
}

/** The status that a caller sees for an error, whoever's server sent it. */
export function toRpc(error: unknown): RpcError {
  const { code, message, data } = record(error) ?? {};
  const told = record(data);
  const trailers = Object.entries(record(told?.["trailers"]) ?? {}).map(([key, value]): [string, string] => [
    key,
    String(value),
  ]);
  return new RpcError(typeof message === "string" ? message : "", {
    code: codeOfWire(told?.["code"]) ?? codeOfNumber(code),
    trailers: new Map(trailers),
  });
}

function codeOfNumber(code: unknown): RpcError["code"] {
  switch (code) {
    case jsonRpcCodes.methodNotFound:
      return "UNIMPLEMENTED";
    case jsonRpcCodes.invalidParams:
    case jsonRpcCodes.invalidRequest:
    case jsonRpcCodes.parseError:
      return "INVALID_ARGUMENT";
    case jsonRpcCodes.internalError:
      return "INTERNAL";
  }
  const known = typeof code === "number" ? rpcCodes[jsonRpcCodes.serverError - code] : undefined;
  return known === undefined || known === "OK" ? "UNKNOWN" : known;
}
