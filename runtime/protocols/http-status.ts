import { rpcCodes, type RpcCode } from "../call/status.ts";

/**
 * The HTTP status of a call's outcome: the mapping of google.rpc.Code
 * (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
 */
export const httpStatus: Readonly<Record<RpcCode, number>> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  UNAUTHENTICATED: 401,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
};

type ErrorCode = Exclude<RpcCode, "OK">;

/** What an HTTP status means that came without a code of ours, from a proxy for example: Connect's mapping. */
export function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 400:
      return "INTERNAL";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "UNIMPLEMENTED";
    case 413:
    case 431:
      return "RESOURCE_EXHAUSTED";
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
      return "UNAVAILABLE";
    default:
      return "UNKNOWN";
  }
}

/** As Connect writes codes: "invalid_argument", and "canceled" with one l. */
export const wireCode = (code: RpcCode): string => (code === "CANCELLED" ? "canceled" : code.toLowerCase());

/** The code of that name in any spelling; undefined where it is none, or no error. */
export function codeOfWire(text: unknown): ErrorCode | undefined {
  if (typeof text !== "string") return undefined;
  const upper = text.toUpperCase();
  const code = upper === "CANCELED" ? "CANCELLED" : rpcCodes.find((one) => one === upper);
  return code === "OK" ? undefined : code;
}
