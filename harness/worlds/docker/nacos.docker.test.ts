import { beforeAll, describe, test } from "vitest";

import { configCenterContract } from "../../../runtime/ports/config-center.contract.ts";
import { registryContract, type RegistryTiming } from "../../../runtime/ports/registry.contract.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { nacos, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

/** What happens to the server happens to every test, and so does a flood. */
const isForAll = (fact: string): boolean => /a registry that pauses|restart|a thousand/.test(fact);

/** Three heartbeats. */
const timeoutMs = 4_500;

describeReal("Nacos", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(nacos);
  }, 90_000);

  const clients = (query: string, sessionTimeoutMs?: number): TestClients =>
    new TestClients({
      server: () => server,
      url: `nacos://127.0.0.1:8848?namespace=test${query}`,
      ports: [8848, 9848],
      ...(sessionTimeoutMs !== undefined && { sessionTimeoutMs }),
    });

  const restart = async (): Promise<void> => {
    await server.container.kill();
    await server.restart();
  };

  const timings: Readonly<Record<"http" | "grpc", RegistryTiming>> = {
    http: {
      pushWithinMs: 8_000,
      failWithinMs: 8_000,
      blipMs: 800,
      expiryMinMs: timeoutMs * 0.6,
      // The server looks each 5 s.
      expiryMaxMs: timeoutMs + 8_000,
      recoverWithinMs: 15_000,
    },
    grpc: {
      pushWithinMs: 8_000,
      failWithinMs: 8_000,
      blipMs: 800,
      expiryMinMs: 0,
      // Half a second; but the client has longer to notice that the server is away.
      expiryMaxMs: 15_000,
      isBoundToConnection: true,
      recoverWithinMs: 15_000,
    },
  };

  for (const protocol of ["http", "grpc"] as const) {
    describe(`as a registry over ${protocol}`, () => {
      const facts = Object.entries(registryContract).sort(([a], [b]) => Number(isForAll(a)) - Number(isForAll(b)));
      for (const [index, [fact, holds]] of facts.entries()) {
        const run = isForAll(fact) ? test : test.concurrent;
        run(
          fact,
          async () => {
            const world = clients(`&protocol=${protocol}&pollMs=300`, protocol === "http" ? timeoutMs : undefined);
            try {
              await holds({
                clock: world.clock,
                service: `orders-${protocol}-${index}`,
                open: (client, options) => world.openRegistry(client, options),
                pause: () => server.container.pause(),
                resume: () => server.container.resume(),
                restart,
                timing: timings[protocol],
              });
            } finally {
              if (isForAll(fact)) await server.container.resume().catch(() => undefined);
              await world.close();
            }
          },
          240_000,
        );
      }
    });
  }

  describe("as a config centre", () => {
    for (const [index, [fact, holds]] of Object.entries(configCenterContract).entries()) {
      test(
        fact,
        async () => {
          const world = clients("");
          try {
            await holds({
              clock: world.clock,
              key: `document-${index}`,
              open: (client, options) => world.openConfigCenter(client, options),
              restart,
              timing: { pushWithinMs: 8_000, failWithinMs: 8_000, recoverWithinMs: 15_000 },
              refusesBlanks: true,
            });
          } finally {
            await world.close();
          }
        },
        120_000,
      );
    }
  });
});
