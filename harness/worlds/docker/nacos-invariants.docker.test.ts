import { beforeAll } from "vitest";

import { describeInvariants } from "./registry-invariants.fixture.ts";
import { nacos, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("Nacos", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(nacos);
  }, 120_000);

  describeInvariants(
    "Nacos over HTTP",
    {
      url: "nacos://127.0.0.1:8848?namespace=invariants&pollMs=500",
      configUrl: "nacos://127.0.0.1:8848?namespace=invariants",
      ports: [8848, 9848],
      sessionTimeoutMs: 4_500,
      pushWithinMs: 10_000,
      // Unhealthy after the timeout, found out by a look each 5 s.
      killed: { minMs: 2_700, maxMs: 4_500 + 5_000 + 2_500 },
      blipMs: 1_000,
      isBoundToConnection: false,
    },
    () => server,
  );

  describeInvariants(
    "Nacos over gRPC",
    {
      url: "nacos://127.0.0.1:8848?namespace=invariants-grpc&protocol=grpc&pollMs=300",
      configUrl: "nacos://127.0.0.1:8848?namespace=invariants",
      ports: [8848, 9848],
      sessionTimeoutMs: undefined,
      pushWithinMs: 10_000,
      // Half a second, less where another change was about to be pushed.
      killed: { minMs: 0, maxMs: 3_000 },
      blipMs: 1_000,
      isBoundToConnection: true,
    },
    () => server,
  );
});
