import { describe } from "vitest";

// Every test of the Triple transport once more, on our own HTTP/2.
process.env["FLYBALL_TRIPLE"] = "http2";

const files = {
  contract: () => import("../triple.test.ts"),
  channel: () => import("./channel.test.ts"),
  hostile: () => import("./hostile.test.ts"),
  interop: () => import("./interop.test.ts"),
  "mutual TLS": () => import("../mutual-tls.test.ts"),
};
for (const [name, load] of Object.entries(files)) describe(name, async () => void (await load()));
