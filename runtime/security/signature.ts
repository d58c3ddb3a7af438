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

/** What Dubbo's callers say of the call itself: which implementation it is for, and how long and how often it is tried. */
const ofOneCall: readonly string[] = [...credentialKeys, "interface", "timeout", "retries"];

/**
 * The metadata of a call that goes with the calls that are made for it. What its caller sent of its own, and what is about that one call,
 * is no business of those who are called in turn: they would look for an implementation of its group and version.
 */
export function passedOn(metadata: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const isOfOne = (key: string): boolean => ofOneCall.includes(key) || key.startsWith("tri-");
  for (const key of metadata.keys()) {
    if (isOfOne(key)) return new Map([...metadata].filter(([one]) => !isOfOne(one)));
  }
  return metadata;
}

const utf8 = new TextEncoder();
