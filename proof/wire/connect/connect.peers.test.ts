import { join } from "node:path";

import { expect, test } from "vitest";

import { describePeer, peerPath, run } from "../peers.ts";

// connectrpc.com/conformance: hundreds of cases for gRPC, each in h2c, TLS and TLS with client certificates where that makes a difference.
// None is known to fail, so there is no list of those that may.

describePeer("connectconformance", "connectconformance", () => {
  // A run that found fewer cases would have proven less than it says.
  test.each([
    ["server", 570],
    ["client", 646],
  ])(
    "finds nothing at our %s in %i cases",
    async (mode, cases) => {
      const here = import.meta.dirname;
      const program = [process.execPath, join(here, `${mode}.ts`)];
      const options = ["--mode", mode, "--conf", join(here, "config.yaml"), "--max-servers", "2"];
      const said = await run(peerPath("connectconformance"), [...options, "--", ...program], 150_000);
      expect(said).toContain(`Total cases: ${cases}\n${cases} passed, 0 failed`);
    },
    160_000,
  );
});
