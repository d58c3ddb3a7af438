import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll } from "vitest";

import { Authority } from "../../runtime/node/authority.ts";

/** For one test file: a certificate for localhost and its authority, as texts and as files that programs can be given. */
export function certificates() {
  const { ca, cert, key } = new Authority("wire", Date.now()).issue({
    name: "flyball",
    hosts: ["localhost", "127.0.0.1"],
  });
  const room = mkdtempSync(join(tmpdir(), "flyball-wire-"));
  afterAll(() => rmSync(room, { recursive: true }));
  const file = (name: string, text: string): string => {
    const path = join(room, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    ca,
    cert,
    key,
    room,
    files: { ca: file("ca.pem", ca), cert: file("cert.pem", cert), key: file("key.pem", key) },
  };
}
