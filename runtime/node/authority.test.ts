import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { Authority } from "./authority.ts";
import { readIdentity } from "./identity-files.ts";
import type { TlsIdentity } from "./tls.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const authority = new Authority("the authority", nowMs);

describe("an authority", () => {
  test("signs what everybody can read and verify", () => {
    const ca = new X509Certificate(authority.ca);
    expect(ca.ca).toBe(true);
    expect(ca.subject).toBe("CN=the authority");
    expect(ca.verify(ca.publicKey)).toBe(true);
    const name = "storefront with ümlauts";
    const cert = new X509Certificate(authority.issue({ name, hosts: ["10.0.0.1", "fleet.test"] }).cert);
    expect(cert.ca).toBe(false);
    expect(cert.subject).toContain("storefront");
    expect(cert.issuer).toBe("CN=the authority");
    expect(cert.checkIssued(ca)).toBe(true);
    expect(cert.verify(ca.publicKey)).toBe(true);
    expect(cert.subjectAltName).toBe("IP Address:10.0.0.1, DNS:fleet.test");
    expect(cert.checkIP("10.0.0.1")).toBe("10.0.0.1");
    expect(cert.checkHost("elsewhere.test")).toBeUndefined();
  });

  test("signs for a day, from an hour before now, or for as long as it is told", () => {
    const usual = new X509Certificate(authority.issue({ name: "a" }).cert);
    expect([usual.validFromDate.getTime() - nowMs, usual.validToDate.getTime() - nowMs]).toEqual([
      -3_600_000, 86_400_000,
    ]);
    const told = new X509Certificate(authority.issue({ name: "a", fromMs: 0, toMs: 1000 }).cert);
    expect([told.validFromDate.getTime(), told.validToDate.getTime()]).toEqual([0, 1000]);
  });

  test("never signs twice with one serial or one key", () => {
    const [one, two] = [authority.issue({ name: "a" }), authority.issue({ name: "a" })];
    expect(new X509Certificate(one.cert).serialNumber).not.toBe(new X509Certificate(two.cert).serialNumber);
    expect(one.key).not.toBe(two.key);
  });
});

describe("an identity in a directory", () => {
  const directories: string[] = [];
  afterAll(() => directories.forEach((directory) => rmSync(directory, { recursive: true })));
  const reading = (files: Partial<Pick<TlsIdentity, "ca" | "cert" | "key">>, atMs = nowMs): (() => TlsIdentity) => {
    const directory = mkdtempSync(join(tmpdir(), "flyball-identity-"));
    directories.push(directory);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, `${name}.pem`), content);
    return () => readIdentity(directory, atMs);
  };
  const { ca, cert, key } = authority.issue({ name: "orders" });

  test("is read as it is", () => {
    expect(reading({ ca, cert, key })()).toEqual({ ca, cert, key });
  });

  test.each<[string, () => TlsIdentity, RegExp]>([
    ["a file that is missing", reading({ ca, cert }), /key\.pem can't be read/],
    ["a file that is something else", reading({ ca, cert: "hello", key }), /cert\.pem isn't what its name says/],
    [
      "another's key",
      reading({ ca, cert, key: authority.issue({ name: "orders" }).key }),
      /isn't the key of cert\.pem/,
    ],
    [
      "another's authority",
      reading({ ca: new Authority("other", nowMs).ca, cert, key }),
      /isn't signed by the authority/,
    ],
    ["a certificate that has expired", reading({ ca, cert, key }, nowMs + 2 * 86_400_000), /has expired/],
    ["a certificate of tomorrow", reading({ ca, cert, key }, nowMs - 2 * 86_400_000), /isn't valid yet/],
  ])("with %s is refused before anything is started, and its key isn't shown", (_, read, message) => {
    expect(read).toThrow(message);
    expect(read).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", hint: expect.any(String) as string }));
    expect(read).not.toThrow(/PRIVATE KEY/);
  });
});
