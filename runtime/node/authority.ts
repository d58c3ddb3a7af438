import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";

import type { TlsIdentity } from "../security/tls-identity.ts";

/** Who a certificate is for, and for how long. */
export interface CertificateOptions {
  /** The common name: who its owner is to those whom he calls. */
  readonly name: string;
  /** By which names its owner is dialled: host names, and IPv4 addresses. */
  readonly hosts?: readonly string[] | undefined;
  /** Milliseconds since the epoch. Default: an hour before `nowMs`, for clocks that differ, and a day after it. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

const hourMs = 3_600_000;

/**
 * A throw-away certificate authority (RFC 5280, ECDSA P-256 with SHA-256): its key is in this process's memory only, and gone with it.
 * For tests and fleets that live for a run; there is no revocation and no renewal.
 */
export class Authority {
  /** Its own certificate, PEM. */
  readonly ca: string;
  readonly #name: string;
  readonly #nowMs: number;
  readonly #key: KeyObject;

  constructor(name: string, nowMs: number) {
    this.#name = name;
    this.#nowMs = nowMs;
    const { privateKey, publicKey } = newKeys();
    this.#key = privateKey;
    this.ca = this.#certificate({ name }, publicKey, [
      extension(oids.basicConstraints, sequence(Buffer.from([0x01, 0x01, 0xff])), { isCritical: true }),
      // keyCertSign
      extension(oids.keyUsage, element(0x03, Buffer.from([0x02, 0x04])), { isCritical: true }),
    ]);
  }

  /** A certificate and its key, for servers and clients alike. `serverName`: what its owner asks of servers. */
  issue(options: CertificateOptions & { readonly serverName?: string | undefined }): TlsIdentity {
    const { hosts = [], serverName } = options;
    const { privateKey, publicKey } = newKeys();
    const cert = this.#certificate(options, publicKey, [
      // digitalSignature
      extension(oids.keyUsage, element(0x03, Buffer.from([0x07, 0x80])), { isCritical: true }),
      extension(oids.extendedKeyUsage, sequence(oid(oids.serverAuth), oid(oids.clientAuth))),
      ...(hosts.length === 0 ? [] : [extension(oids.subjectAltName, sequence(...hosts.map(alternativeName)))]),
    ]);
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { ca: this.ca, cert, key, ...(serverName !== undefined && { serverName }) };
  }

  #certificate(options: CertificateOptions, publicKey: KeyObject, extensions: readonly Buffer[]): string {
    const { name, fromMs = this.#nowMs - hourMs, toMs = this.#nowMs + 24 * hourMs } = options;
    const algorithm = sequence(oid(oids.ecdsaWithSha256));
    const toBeSigned = sequence(
      element(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
      algorithm,
      commonName(this.#name),
      sequence(time(fromMs), time(toMs)),
      commonName(name),
      publicKey.export({ type: "spki", format: "der" }),
      element(0xa3, sequence(...extensions)),
    );
    const signature = element(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", toBeSigned, this.#key)]));
    return pem(sequence(toBeSigned, algorithm, signature));
  }
}

const newKeys = () => generateKeyPairSync("ec", { namedCurve: "P-256" });

/** By their DER contents. */
const oids = {
  commonName: "550403",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
  ecdsaWithSha256: "2a8648ce3d040302",
} as const;

// DER (ITU-T X.690): a tag, a length, the contents.

function element(tag: number, contents: Buffer): Buffer {
  const { length } = contents;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), contents]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => element(0x30, Buffer.concat(parts));
const oid = (hex: string): Buffer => element(0x06, Buffer.from(hex, "hex"));
const integer = (contents: Buffer): Buffer => element(0x02, contents);

const commonName = (name: string): Buffer =>
  sequence(element(0x31, sequence(oid(oids.commonName), element(0x0c, Buffer.from(name)))));

/** UTCTime, which RFC 5280 wants up to 2049. */
function time(ms: number): Buffer {
  const digits = new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replace(/\D/g, "");
  return element(0x17, Buffer.from(`${digits.slice(2)}Z`));
}

const extension = (id: string, value: Buffer, { isCritical = false } = {}): Buffer =>
  sequence(oid(id), ...(isCritical ? [Buffer.from([0x01, 0x01, 0xff])] : []), element(0x04, value));

const alternativeName = (host: string): Buffer =>
  /^\d+\.\d+\.\d+\.\d+$/.test(host)
    ? element(0x87, Buffer.from(host.split(".").map(Number)))
    : element(0x82, Buffer.from(host));

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
