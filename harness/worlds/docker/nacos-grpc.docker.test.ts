import { beforeAll } from "vitest";

import { describeRegistry } from "./contracts.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { nacos, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("Nacos over gRPC", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(nacos);
  }, 120_000);

  describeRegistry("as a registry", {
    server: () => server,
    clients: () =>
      new TestClients({
        server: () => server,
        url: "nacos://127.0.0.1:8848?namespace=test&protocol=grpc&pollMs=300",
        ports: [8848, 9848],
      }),
    timing: {
      pushWithinMs: 8_000,
      failWithinMs: 8_000,
      blipMs: 800,
      expiryMinMs: 0,
      // Half a second; but the client has longer to notice that the server is away.
      expiryMaxMs: 15_000,
      settleMs: 30_000,
      isBoundToConnection: true,
      recoverWithinMs: 15_000,
    },
  });
});
