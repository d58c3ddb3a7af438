import { describe, test } from "vitest";

import { configCenterContract, type ConfigCenterWorld } from "../../../runtime/ports/config-center.contract.ts";
import { isForAll, registryContract, type RegistryTiming } from "../../../runtime/ports/registry.contract.ts";
import type { TestClients } from "./infrastructure.fixture.ts";
import type { RunningServer } from "./servers.ts";

const factWithinMs = 240_000;

/** The registry's contract, on a server that the caller starts. Facts that leave the server alone wait side by side. */
export function describeRegistry(
  name: string,
  {
    server,
    clients,
    timing,
  }: {
    readonly server: () => RunningServer;
    /** Of one fact. */
    readonly clients: () => TestClients;
    readonly timing: RegistryTiming;
  },
): void {
  describe(name, () => {
    const facts = Object.entries(registryContract).toSorted(([a], [b]) => Number(isForAll(a)) - Number(isForAll(b)));
    for (const [index, [fact, holds]] of facts.entries()) {
      const run = isForAll(fact) ? test : test.concurrent;
      const inWorld = async (): Promise<void> => {
        const world = clients();
        try {
          await holds({
            clock: world.clock,
            service: `orders-${index}`,
            open: (client, options) => world.openRegistry(client, options),
            pause: () => server().container.pause(),
            resume: () => server().container.resume(),
            restart: () => restart(server()),
            timing,
          });
        } finally {
          if (isForAll(fact)) {
            await server()
              .container.resume()
              .catch(() => undefined);
          }
          await world.close();
        }
      };
      run(fact, inWorld, factWithinMs);
    }
  });
}

/** The config centre's: quick facts, one after the other. */
export function describeConfigCenter(
  name: string,
  {
    server,
    clients,
    ...limits
  }: {
    readonly server: () => RunningServer;
    readonly clients: () => TestClients;
  } & Pick<ConfigCenterWorld, "timing" | "documentBytesMax" | "refusesBlanks">,
): void {
  describe(name, () => {
    for (const [index, [fact, holds]] of Object.entries(configCenterContract).entries()) {
      const inWorld = async (): Promise<void> => {
        const world = clients();
        try {
          await holds({
            clock: world.clock,
            key: `document-${index}`,
            open: (client, options) => world.openConfigCenter(client, options),
            restart: () => restart(server()),
            ...limits,
          });
        } finally {
          await world.close();
        }
      };
      test(fact, inWorld, factWithinMs);
    }
  });
}

export async function restart(server: RunningServer): Promise<void> {
  await server.container.kill();
  await server.restart();
}
