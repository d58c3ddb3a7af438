import { beforeAll } from "vitest";

import { describeConfigCenter, describeRegistry } from "./contracts.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { zookeeper, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";
import { expiryMaxMs, sessionTimeoutMs, tickMs } from "./zookeeper-times.ts";

describeReal("ZooKeeper", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(zookeeper);
  }, 120_000);

  let trees = 0;
  const clients = (query: string): TestClients =>
    new TestClients({
      server: () => server,
      url: `zookeeper://127.0.0.1:2181/contract-${trees++}${query}`,
      ports: [2181],
      sessionTimeoutMs,
    });

  for (const level of ["all", "interface", "application"]) {
    describeRegistry(`as a registry, level=${level}`, {
      server: () => server,
      clients: () => clients(`?level=${level}`),
      timing: {
        pushWithinMs: 5_000,
        failWithinMs: 3_000,
        blipMs: sessionTimeoutMs / 5,
        // It was last heard a third of the timeout ago, or a little more on a busy machine.
        expiryMinMs: sessionTimeoutMs / 2,
        expiryMaxMs,
        settleMs: 2 * (sessionTimeoutMs + tickMs),
        recoverWithinMs: 10_000,
      },
    });
  }

  describeConfigCenter("as a config centre", {
    server: () => server,
    clients: () => clients(""),
    timing: { pushWithinMs: 5_000, failWithinMs: 3_500, recoverWithinMs: 15_000 },
  });
});
