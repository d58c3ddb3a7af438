import { randomBytes } from "node:crypto";

import { beforeAll, describe, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import { configCenterContract, type ConfigCenterWorld } from "../../../runtime/ports/config-center.contract.ts";
import { registryContract, type RegistryWorld } from "../../../runtime/ports/registry.contract.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { zookeeper, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

const clock = systemClock();
/** The server's tick is half a second, so sessions end one to one and a half seconds after their last sign of life. */
const sessionTimeoutMs = 1000;
const tickMs = 500;

let server: RunningServer;

describeReal("ZooKeeper", () => {
  beforeAll(async () => {
    server = await startTestServer(zookeeper);
  }, 90_000);

  for (const level of ["all", "interface", "application"] as const) {
    // The formats differ; what ZooKeeper does doesn't: the slow facts are held once.
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

/** Closes, the last opened first, what a test opened. */
class Openings {
  readonly #closing: (() => Promise<void>)[] = [];

  add(close: () => Promise<void>): void {
    this.#closing.unshift(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close();
  }
}

const unique = (): string => randomBytes(4).toString("hex");

async function inRegistryWorld(level: string, holds: (world: RegistryWorld) => Promise<void>): Promise<void> {
  const openings = new Openings();
  const chroot = `/test-${unique()}`;
  try {
    await holds({
      clock,
      service: "orders",
      open: (client, options) => openParty(openings, { client, chroot, level, ...options }),
      pause: () => server.container.pause(),
      resume: () => server.container.resume(),
      restart,
      timing: {
        pushWithinMs: 5000,
        failWithinMs: 2000,
        blipMs: sessionTimeoutMs / 3,
        // It was last heard a third of the timeout ago, at most.
        expiryMinMs: (sessionTimeoutMs * 2) / 3 - 50,
        expiryMaxMs: sessionTimeoutMs + tickMs + 500,
        recoverWithinMs: 10_000,
      },
    });
  } finally {
    await server.container.resume().catch(() => undefined);
    await openings.close();
  }
}

interface PartyOptions {
  readonly client: string;
  readonly chroot: string;
  readonly level?: string;
  readonly parameters?: string;
  readonly isRefused?: boolean;
  readonly timeoutMs?: number;
}

async function openParty(openings: Openings, options: PartyOptions) {
  const { client, chroot, level = "all", parameters = "", isRefused = false, timeoutMs = sessionTimeoutMs } = options;
  const path = await TestPath.open(() => server.addressOf(2181));
  if (isRefused) path.refuse();
  const events: RuntimeEvent[] = [];
  const registry = await realInfrastructure({ dial: () => path.address }).registries["zookeeper"]!({
    clock,
    random: createRandom(randomBytes(4).readUInt32BE()),
    telemetry: { emit: (event) => void events.push(event) },
    url: `zookeeper://zookeeper:2181${chroot}?level=${level}${parameters}`,
    client,
    application: client.split("/")[0]!,
    interfaceName: "flyball.worker.v1.Worker",
    sessionTimeoutMs: timeoutMs,
  });
  openings.add(async () => {
    path.heal();
    await registry.close();
    path.close();
  });
  return {
    registry,
    events,
    path,
    cut: () => path.cut(),
    heal: () => path.heal(),
    reset: () => path.reset(),
    refuse: () => path.refuse(),
  };
}

async function inConfigWorld(holds: (world: ConfigCenterWorld) => Promise<void>): Promise<void> {
  const openings = new Openings();
  const chroot = `/test-${unique()}`;
  try {
    await holds({
      clock,
      key: "orders",
      open: (client, options) => openConfigParty(openings, { client, chroot, ...options }),
      restart,
      timing: { pushWithinMs: 5000, failWithinMs: 3500, recoverWithinMs: 15_000 },
    });
  } finally {
    await openings.close();
  }
}

async function openConfigParty(openings: Openings, { client, chroot, isRefused = false }: PartyOptions) {
  const path = await TestPath.open(() => server.addressOf(2181));
  if (isRefused) path.refuse();
  const configCenter = await realInfrastructure({ dial: () => path.address }).configCenters["zookeeper"]!({
    clock,
    random: createRandom(randomBytes(4).readUInt32BE()),
    telemetry: { emit: () => undefined },
    url: `zookeeper://zookeeper:2181${chroot}`,
    client,
    application: client.split("/")[0]!,
  });
  openings.add(async () => {
    path.heal();
    await configCenter.close();
    path.close();
  });
  return {
    configCenter,
    cut: () => path.cut(),
    heal: () => path.heal(),
    refuse: () => path.refuse(),
  };
}

async function restart(): Promise<void> {
  await server.container.kill();
  await server.restart();
}
