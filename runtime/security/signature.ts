import { toBase64 } from "../codec/base64.ts";
import { hmacSha256 } from "./sha256.ts";

/** A caller's name for a secret that it shares with those it calls, and the secret. */
export interface Credentials {
  readonly accessKey: string;
  readonly secret: string;
}

/** What is signed beside the secret. */
export interface Signed {
  /** The method's path: "/flyball.worker.v1.Worker/Do". */
  readonly path: string;
  /** The service that is called: the group of its interface, in Dubbo's words. */
  readonly service: string;
  readonly timestampMs: number;
}

/** Dubbo's attachments: `ak`, `timestamp`, `signature`, `consumer`; and the token's. */
export const credentialKeys = ["ak", "timestamp", "signature", "consumer", "token"] as const;

/**
 * Dubbo's access-key signature (dubbo-go `filter/auth`, Dubbo Java `dubbo-plugin/dubbo-auth`): base64 of HMAC-SHA256 under the
 * secret over `interface:version:group#method#secret#timestamp`. It covers whom is called, not with what.
 */
export function signatureOf({ path, service, timestampMs }: Signed, secret: string): string {
  const slash = path.lastIndexOf("/");
  const text = `${path.slice(1, slash)}::${service}#${path.slice(slash + 1)}#${secret}#${timestampMs}`;
  return toBase64(hmacSha256(utf8.encode(secret), utf8.encode(text)));
}

/** The attachments of a signed call. */
export function attachmentsOf(
  signed: Signed,
  { accessKey, secret }: Credentials,
  application: string,
): [string, string][] {
  return [
    ["ak", accessKey],
    ["timestamp", String(signed.timestampMs)],
    ["signature", signatureOf(signed, secret)],
    ["consumer", application],
  ];
}

/** Compares secrets in a time that tells nothing but their lengths. */
export function isSame(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= (given.charCodeAt(index) || 0) ^ expected.charCodeAt(index);
  }
  return difference === 0;
}

/** What one caller sent of its own is no business of those who are called in turn. */
export function withoutCredentials(metadata: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (!credentialKeys.some((key) => metadata.has(key))) return metadata;
  return new Map([...metadata].filter(([key]) => !(credentialKeys as readonly string[]).includes(key)));
}

const utf8 = new TextEncoder();
