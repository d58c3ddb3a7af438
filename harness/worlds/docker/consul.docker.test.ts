import { beforeAll } from "vitest";

import { describeConfigCenter, describeRegistry } from "./contracts.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { describeInvariants } from "./registry-invariants.fixture.ts";
import { consul, type RunningServer, type ServerKind } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

/** One that keeps what it knows on its disk. */
const keeping: ServerKind = {
  ...consul,
  command: [
    ...["agent", "-server", "-bootstrap-expect=1", "-data-dir=/consul/data", "-bind=127.0.0.1"],
    ...["-client=0.0.0.0", "-log-level=warn"],
  ],
};

const ttlMs = 1_500;

describeReal("Consul", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(keeping);
  }, 120_000);

  const clients = (): TestClients =>
    new TestClients({
      server: () => server,
      url: "consul://127.0.0.1:8500?prefix=test-",
      ports: [8500],
      sessionTimeoutMs: ttlMs,
    });

  describeRegistry("as a registry", {
    server: () => server,
    clients,
    timing: {
      pushWithinMs: 5_000,
      failWithinMs: 5_000,
      blipMs: 400,
      expiryMinMs: ttlMs * 0.6,
      // An agent that found no leader when it first told its servers everything, as on a busy machine, tells them nothing for 15 to 30 s:
      // retryFullSync in agent/ae/ae.go of Consul.
      expiryMaxMs: ttlMs + 33_000,
      settleMs: 2 * (ttlMs + 3_000),
      recoverWithinMs: 45_000,
    },
  });

  describeConfigCenter("as a config centre", {
    server: () => server,
    clients,
    timing: { pushWithinMs: 5_000, failWithinMs: 5_000, recoverWithinMs: 15_000 },
    documentBytesMax: 512 * 1024,
  });

  describeInvariants(
    "Consul",
    {
      forget: ["sh", "-c", "rm -rf /consul/data/*"],
      url: "consul://127.0.0.1:8500?prefix=invariants-",
      configUrl: "consul://127.0.0.1:8500?prefix=invariants-",
      ports: [8500],
      // Longer than an election takes: until then nobody's sign of life is spread.
      sessionTimeoutMs: 6_000,
      pushWithinMs: 10_000,
      killed: { minMs: 3_600, maxMs: 6_000 + 3_000 },
      blipMs: 1_000,
      isBoundToConnection: false,
    },
    () => server,
  );
});
