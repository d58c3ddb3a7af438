import { promisify } from "node:util";

import { RpcError } from "../call/status.ts";
import { onDemand } from "./on-demand.ts";

/** A smaller body isn't worth it. */
export const compressedFromBytes = 1024;

/**
 * A body without its `content-encoding`: gzip, or none. Rejects with UNIMPLEMENTED for another, RESOURCE_EXHAUSTED for more than
 * `bytesMax`, INVALID_ARGUMENT for what can't be read.
 */
export async function decompressed(bytes: Uint8Array, coding: string | undefined, bytesMax: number) {
  const name = (coding ?? "identity").trim().toLowerCase();
  if (name === "identity" || bytes.length === 0) return bytes;
  if (name !== "gzip" && name !== "x-gzip") {
    const what = `the content-encoding ${name.slice(0, 100)} isn't spoken here`;
    throw new RpcError(what, { code: "UNIMPLEMENTED", hint: "send it as gzip, or as it is" });
  }
  try {
    return await promisify(onDemand.zlib().gunzip)(bytes, { maxOutputLength: Math.max(1, bytesMax) });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new RpcError(`a body has at most ${bytesMax} bytes, also behind its compression`, {
        code: "RESOURCE_EXHAUSTED",
      });
    }
    throw new RpcError("the compressed body can't be read", { code: "INVALID_ARGUMENT", cause });
  }
}

export const compressed = (bytes: Uint8Array): Promise<Uint8Array> => promisify(onDemand.zlib().gzip)(bytes);

/** Whether an `accept-encoding` has gzip (RFC 9110 section 12.5.3): named with a weight above 0, or covered by "*". */
export function takesGzip(accepted: string | undefined): boolean {
  let any = false;
  for (const item of (accepted ?? "").toLowerCase().split(",")) {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const isTaken = weight === undefined || Number(weight.slice(2)) > 0;
    if (name === "gzip" || name === "x-gzip") return isTaken;
    if (name === "*") any = isTaken;
  }
  return any;
}
