import type { Metadata } from "../../call/metadata.ts";
import { RpcError, rpcCodeOf, rpcCodes, type RpcCode } from "../../call/status.ts";
import { errorCodes } from "../http2/errors.ts";
import { valueOf } from "../http2/fields.ts";
import { encodeFields, listBytes, type FieldBlock } from "../http2/hpack/encoder.ts";
import type { Reset } from "../http2/stream.ts";
import { cutEncoded, fromFields, percentDecode, percentEncode, toFields } from "./fields.ts";

/** A longer message wouldn't fit into many peers' header lists. */
const messageCharactersMax = 4096;

export const okTrailers: FieldBlock = encodeFields(["grpc-status", "0"]);

/**
 * The trailers that a server sends for an error, as far as they are no more than the caller takes (RFC 9113 section 6.5.2 counts): the
 * status, then metadata, then as much of the message as there is room for.
 */
export function statusFields({ code, message, trailers }: RpcError, bytesMax = Infinity): string[] {
  const status = ["grpc-status", String(rpcCodes.indexOf(code))];
  const custom = carried(trailers, bytesMax - listBytes(status));
  const room = bytesMax - listBytes([...status, ...custom, "grpc-message", ""]);
  const characters = message
    .slice(0, messageCharactersMax)
    .replace(/[\ud800-\udbff]$/, "")
    .toWellFormed();
  const encoded = cutEncoded(percentEncode(characters), Math.min(room, 3 * messageCharactersMax));
  return [...status, ...(encoded === "" ? [] : ["grpc-message", encoded]), ...custom];
}

/** Trailers that can't be carried, or that the caller doesn't take, are no reason to lose the status: the longest are left out first. */
function carried(trailers: Metadata, bytesMax: number): readonly string[] {
  let list: readonly string[];
  try {
    list = toFields(trailers);
  } catch {
    return [];
  }
  if (listBytes(list) <= bytesMax) return list;
  const fields = Array.from({ length: list.length / 2 }, (_, index) => list.slice(2 * index, 2 * index + 2));
  let room = bytesMax;
  const shortest = fields.toSorted((a, b) => listBytes(a) - listBytes(b));
  const fitting = new Set(shortest.filter((field) => (room -= listBytes(field)) >= 0));
  return fields.filter((field) => fitting.has(field)).flat();
}

/** What a response's last fields say: undefined for OK. `httpStatus`: of the response they end. */
export function errorOf(list: readonly string[], httpStatus: string, isCommitted: boolean): RpcError | undefined {
  const status = valueOf(list, "grpc-status");
  if (status === "0") return undefined;
  const trailers = fromFields(list);
  const reach = isCommitted ? ("answered" as const) : undefined;
  if (status === undefined || !/^\d{1,3}$/.test(status)) {
    const code = httpStatus === "200" ? "UNKNOWN" : (httpCodes[httpStatus] ?? "UNKNOWN");
    const message = status === undefined ? "the server sent no grpc-status" : `grpc-status ${status.slice(0, 100)}`;
    return new RpcError(httpStatus === "200" ? message : `the server answered with HTTP status ${httpStatus}`, {
      ...{ code, trailers, reach },
      hint: "is it gRPC that listens there?",
    });
  }
  const code = rpcCodeOf(Number(status));
  const message = percentDecode(valueOf(list, "grpc-message") ?? "");
  return new RpcError(message, { code: code === "OK" ? "UNKNOWN" : code, trailers, reach });
}

/** What a response that isn't gRPC's means (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). */
const httpCodes: Readonly<Record<string, Exclude<RpcCode, "OK">>> = {
  "400": "INTERNAL",
  "401": "UNAUTHENTICATED",
  "403": "PERMISSION_DENIED",
  "404": "UNIMPLEMENTED",
  "429": "UNAVAILABLE",
  "502": "UNAVAILABLE",
  "503": "UNAVAILABLE",
  "504": "UNAVAILABLE",
};

/** What a reset means; all others are INTERNAL. */
const resetCodes: Readonly<Record<number, Exclude<RpcCode, "OK">>> = {
  [errorCodes.refusedStream]: "UNAVAILABLE",
  [errorCodes.cancel]: "CANCELLED",
  [errorCodes.enhanceYourCalm]: "RESOURCE_EXHAUSTED",
  [errorCodes.inadequateSecurity]: "PERMISSION_DENIED",
};

/** The error of a call whose stream was reset, or whose connection has gone. */
export function resetError(reset: Reset, peer: string, isCommitted: boolean): RpcError {
  const { by, code, isUnprocessed, message } = reset;
  return new RpcError(`${peer}: ${message}`, {
    code: by === "connection" ? "UNAVAILABLE" : (resetCodes[code] ?? "INTERNAL"),
    hint: by === "connection" ? "is a node listening there, and is the network between healthy?" : undefined,
    reach: isCommitted ? "answered" : isUnprocessed ? "server" : "application",
  });
}

/** What `timeoutHeader` rounds a deadline down by at most, for calls of up to a day. */
const roundedUs = 1000;

/**
 * A server that counts the deadline too may reset the stream a moment before this side's timer fires (grpc-go does so with CANCEL): with
 * `leftUs` of it left, that is DEADLINE_EXCEEDED, and nobody's cancellation.
 */
export function atDeadline(error: RpcError, leftUs: number): RpcError {
  if (error.code !== "CANCELLED" || leftUs >= roundedUs) return error;
  const { hint, trailers, reach } = error;
  return new RpcError(`deadline exceeded: ${error.message}`, {
    code: "DEADLINE_EXCEEDED",
    hint,
    trailers,
    reach,
    cause: error,
  });
}
