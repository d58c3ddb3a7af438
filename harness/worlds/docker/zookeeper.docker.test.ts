import { beforeAll, describe, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { configCenterContract, type ConfigCenterWorld } from "../../../runtime/ports/config-center.contract.ts";
import { registryContract, type RegistryWorld } from "../../../runtime/ports/registry.contract.ts";
import { zookeeper, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";
import { expiryMaxMs, Openings, openConfigParty, openParty, sessionTimeoutMs, tickMs } from "./zookeeper-fixture.ts";

const clock = systemClock();
let server: RunningServer;
let chroots = 0;

describeReal("ZooKeeper", () => {
  beforeAll(async () => {
    server = await startTestServer(zookeeper);
  }, 90_000);

  for (const level of ["all", "interface", "application"] as const) {
    describe(`as a registry, level=${level}`, () => {
      for (const [fact, holds] of Object.entries(registryContract)) {
        test(fact, () => inRegistryWorld(level, holds), 60_000);
      }
    });
  }

  describe("as a config centre", () => {
    for (const [fact, holds] of Object.entries(configCenterContract)) {
      test(fact, () => inConfigWorld(holds), 60_000);
    }
  });
});

async function inRegistryWorld(level: string, holds: (world: RegistryWorld) => Promise<void>): Promise<void> {
  const openings = new Openings();
  const chroot = `/contract-${chroots++}`;
  try {
    await holds({
      clock,
      service: "orders",
      open: (client, options) => openParty(openings, target, { client, chroot, level, ...options }),
      pause: () => server.container.pause(),
      resume: () => server.container.resume(),
      restart,
      timing: {
        pushWithinMs: 5000,
        failWithinMs: 3000,
        blipMs: sessionTimeoutMs / 5,
        // It was last heard a third of the timeout ago, or a little more on a busy machine.
        expiryMinMs: sessionTimeoutMs / 2,
        expiryMaxMs,
        settleMs: 2 * (sessionTimeoutMs + tickMs),
        recoverWithinMs: 10_000,
      },
    });
  } finally {
    await server.container.resume().catch(() => undefined);
    await openings.close();
  }
}

async function inConfigWorld(holds: (world: ConfigCenterWorld) => Promise<void>): Promise<void> {
  const openings = new Openings();
  const chroot = `/contract-${chroots++}`;
  try {
    await holds({
      clock,
      key: "orders",
      open: (client, options) => openConfigParty(openings, target, { client, chroot, ...options }),
      restart,
      timing: { pushWithinMs: 5000, failWithinMs: 3500, recoverWithinMs: 15_000 },
    });
  } finally {
    await openings.close();
  }
}

const target = (): string => server.addressOf(2181);

async function restart(): Promise<void> {
  await server.container.kill();
  await server.restart();
}
