import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { statusDetailsKey, type Metadata } from "../call/metadata.ts";
import { rpcCodes, type RpcCode } from "../call/status.ts";
import { fromBase64, toBase64 } from "../codec/base64.ts";
import { StatusSchema } from "./proto/status_pb.ts";

/** An error's detail as Connect's JSON has it: a message's full name, and its bytes in base64 without padding. */
export interface ErrorDetail {
  readonly type: string;
  readonly value: string;
}

const prefix = "type.googleapis.com/";

/** The details among an error's trailers; none where there are none, or they can't be read. */
export function detailsIn(trailers: Metadata): readonly ErrorDetail[] {
  const text = trailers.get(statusDetailsKey);
  if (text === undefined) return [];
  try {
    const { details } = fromBinary(StatusSchema, fromBase64(padded(text)));
    return details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value: toBase64(value).replace(/=+$/, ""),
    }));
  } catch {
    return [];
  }
}

/** The trailer that holds these details (google.rpc.Status). Undefined for none; what is no detail is left out. */
export function detailsTrailer(
  { code, message }: { readonly code: RpcCode; readonly message: string },
  details: readonly unknown[],
): readonly [string, string] | undefined {
  const read = details.map(detailOf).filter((detail) => detail !== undefined);
  if (read.length === 0) return undefined;
  const status = create(StatusSchema, { code: rpcCodes.indexOf(code), message, details: read });
  return [statusDetailsKey, toBase64(toBinary(StatusSchema, status))];
}

function detailOf(detail: unknown): { readonly typeUrl: string; readonly value: Uint8Array } | undefined {
  const { type, value } = (detail ?? {}) as Partial<Record<keyof ErrorDetail, unknown>>;
  if (typeof type !== "string" || typeof value !== "string") return undefined;
  try {
    return { typeUrl: prefix + type, value: fromBase64(padded(value)) };
  } catch {
    return undefined;
  }
}

const padded = (base64: string): string => base64 + "=".repeat((4 - (base64.length % 4)) % 4);
