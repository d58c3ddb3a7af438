import { join } from "node:path";

import { afterAll, beforeAll, test } from "vitest";

import { createEmbeddedRegistry } from "../../runtime/discovery/embedded.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { TestPath } from "../../runtime/node/testing/path.ts";
import { TestProgram } from "../../runtime/node/testing/program.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import { isForAll, registryContract, type RegistryFact } from "../../runtime/ports/registry.contract.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";
import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";

const main = join(import.meta.dirname, "..", "main.ts");
const sessionTimeoutMs = 1500;
const tickMs = 50;

let registry: TestProgram;
beforeAll(async () => {
  registry = await TestProgram.start(main, "registry", "--config", JSON.stringify({ tickMs, mergeMs: 10 }));
});
afterAll(() => registry.close());

// Facts that leave the registry alone wait side by side.
for (const [index, [fact, holds]] of Object.entries(registryContract).entries()) {
  const run = isForAll(fact) ? test : test.concurrent;
  run(fact, () => inWorld(`orders-${index}`, holds));
}

/** The registry is a process, its clients are here; each of them has a path of its own. */
async function inWorld(service: string, holds: RegistryFact): Promise<void> {
  const clock = systemClock();
  const closing: (() => Promise<void>)[] = [];
  try {
    await holds({
      clock,
      service,
      open: async (client, { isRefused = false } = {}) => {
        const path = await TestPath.open(() => registry.address);
        if (isRefused) path.refuse();
        const events: RuntimeEvent[] = [];
        const telemetry = { emit: (event: RuntimeEvent): void => void events.push(event) };
        const transport = tripleTransport({ clock });
        const opened = createEmbeddedRegistry({
          clock,
          random: createRandom(closing.length),
          transport,
          calls: new CallLog({ clock, telemetry }),
          telemetry,
          address: path.address,
          sessionTimeoutMs,
          client,
        });
        closing.push(async () => {
          path.heal();
          await opened.close();
          await transport.close();
          path.close();
        });
        return {
          registry: opened,
          events,
          cut: () => path.cut(),
          heal: () => path.heal(),
          reset: () => path.reset(),
          refuse: () => path.refuse(),
        };
      },
      pause: async () => registry.pause(),
      resume: async () => registry.resume(),
      restart: () => registry.restart(),
      timing: {
        pushWithinMs: 5000,
        failWithinMs: 3000,
        blipMs: sessionTimeoutMs / 5,
        // It was last heard a third of the timeout ago, at most.
        expiryMinMs: sessionTimeoutMs / 2,
        expiryMaxMs: 5000,
        settleMs: 2 * sessionTimeoutMs,
        recoverWithinMs: 8000,
      },
    });
  } finally {
    registry.resume();
    await Promise.all(closing.map((close) => close()));
  }
}
