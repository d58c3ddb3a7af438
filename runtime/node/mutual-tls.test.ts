import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { Call } from "../call/call.ts";
import { noMetadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";
import type { RpcError } from "../call/status.ts";
import type { Transport } from "../ports/transport.ts";
import { httpJson } from "../protocols/http-json.ts";
import { jsonRpc } from "../protocols/json-rpc.ts";
import { systemClock } from "./clock.ts";
import { framedTransport } from "./framed.ts";
import { httpTransport } from "./http-transport.ts";
import type { TlsIdentity } from "./tls.ts";

const clock = systemClock();
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flyball-tls-"));
  authority("ca");
  authority("other");
});
afterAll(() => rmSync(directory, { recursive: true }));

const openssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function authority(name: string): void {
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.pem`,
    "-subj",
    `/CN=${name}`,
    "-days",
    "2",
  );
}

function identity(name: string, ca = "ca"): TlsIdentity {
  openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
  writeFileSync(join(directory, "san"), "subjectAltName=IP:127.0.0.1\n");
  const signed = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial", "-extfile", "san"];
  openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, "-days", "1", ...signed);
  const read = (file: string): string => readFileSync(join(directory, file), "utf8");
  return { ca: read("ca.pem"), cert: read(`${name}.pem`), key: read(`${name}.key`) };
}

const text = {
  create: (init: unknown) => init,
  encode: (message: unknown) => Buffer.from(String(message)),
  decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  copy: (message: unknown) => message,
};
const who: Method<unknown, unknown> = { path: "/t.T/Who", kind: "unary", codecName: "text", input: text, output: text };

const opened: Transport[] = [];
afterEach(() => Promise.all(opened.splice(0).map((transport) => transport.close())));

describe.each<[string, (tls: TlsIdentity | undefined) => Transport]>([
  ["framed", (tls) => framedTransport({ clock, tls })],
  ["http", (tls) => httpTransport(httpJson, { clock, tls })],
  ["jsonrpc", (tls) => httpTransport(jsonRpc, { clock, tls })],
])("mutual TLS on %s", (_, make) => {
  const open = (tls: TlsIdentity | undefined): Transport => {
    const transport = make(tls);
    opened.push(transport);
    return transport;
  };

  async function ask(client: TlsIdentity | undefined, server: TlsIdentity): Promise<unknown> {
    const { address } = await open(server).listen({
      address: "127.0.0.1:0",
      methods: new Map([
        [
          who.path,
          { method: who, serve: async (call) => ({ kind: "unary", message: call.principal, trailers: noMetadata }) },
        ],
      ]),
    });
    const call = new Call({ clock, service: "t", method: who.path, timeoutUs: 3_000_000 });
    try {
      const response = await open(client).invoke(address, who, call, "");
      return response.kind === "unary" && response.message;
    } catch (error) {
      return (error as RpcError).code;
    } finally {
      call.end();
    }
  }

  test("the server knows its caller by the name in its certificate", async () => {
    expect(await ask(identity("storefront"), identity("orders"))).toBe("storefront");
  });

  test("a caller that another authority vouches for, or nobody, is UNAVAILABLE to it", async () => {
    const server = identity("orders");
    expect(await ask(identity("intruder", "other"), server)).toBe("UNAVAILABLE");
    expect(await ask(undefined, server)).toBe("UNAVAILABLE");
  });

  test("a server that another authority vouches for isn't believed", async () => {
    expect(await ask(identity("storefront"), identity("impostor", "other"))).toBe("UNAVAILABLE");
  });
});
