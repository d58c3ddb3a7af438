import { readFileSync } from "node:fs";
import { join } from "node:path";

import { RpcError } from "../call/status.ts";
import type { TlsIdentity } from "../security/tls-identity.ts";
import { onDemand } from "./on-demand.ts";

/**
 * Reads an identity from a directory: `ca.pem`, `cert.pem`, `key.pem`. Throws an `RpcError` INVALID_ARGUMENT that says what is wrong with
 * it and what to do: better here than in every handshake.
 */
export function readIdentity(directory: string, wallMs: number): TlsIdentity {
  const read = (file: string): string => {
    try {
      return readFileSync(join(directory, file), "utf8");
    } catch (cause) {
      throw wrong(`${join(directory, file)} can't be read`, "it needs ca.pem, cert.pem and key.pem", cause);
    }
  };
  const parsed = <T>(file: string, parse: (text: string) => T): T => {
    const text = read(file);
    try {
      return parse(text);
    } catch (cause) {
      throw wrong(`${join(directory, file)} isn't what its name says`, "a PEM file is meant", cause);
    }
  };
  const { createPrivateKey, X509Certificate } = onDemand.crypto();
  const ca = parsed("ca.pem", (text) => new X509Certificate(text));
  const cert = parsed("cert.pem", (text) => new X509Certificate(text));
  const key = parsed("key.pem", (text) => createPrivateKey(text));
  for (const [file, { validFromDate, validToDate, validTo, validFrom }] of [
    ["ca.pem", ca],
    ["cert.pem", cert],
  ] as const) {
    if (wallMs > validToDate.getTime()) throw wrong(`${file} has expired (${validTo})`, "have a new one made");
    if (wallMs < validFromDate.getTime())
      throw wrong(`${file} isn't valid yet (${validFrom})`, "is this machine's clock right?");
  }
  if (!cert.checkPrivateKey(key))
    throw wrong("key.pem isn't the key of cert.pem", "take the two that were made together");
  if (!cert.verify(ca.publicKey)) {
    throw wrong(
      "cert.pem isn't signed by the authority of ca.pem",
      "all nodes of a fleet have certificates of one authority",
    );
  }
  return { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}

const wrong = (message: string, hint: string, cause?: unknown): RpcError =>
  new RpcError(message, { code: "INVALID_ARGUMENT", hint, cause });
