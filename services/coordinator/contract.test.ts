import { join } from "node:path";

import { afterAll, beforeAll, test } from "vitest";

import { systemClock } from "../../runtime/node/clock.ts";
import { TestPath } from "../../runtime/node/testing/path.ts";
import { TestProgram } from "../../runtime/node/testing/program.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import { coordinatorContract, type CoordinatorFact } from "../../runtime/ports/coordinator.contract.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";
import { createEmbeddedCoordinator } from "../../runtime/transactions/embedded.ts";

const main = join(import.meta.dirname, "..", "main.ts");

let coordinator: TestProgram;
beforeAll(async () => {
  coordinator = await TestProgram.start(main, "coordinator", "--config", JSON.stringify({ retryMs: 100 }));
});
afterAll(() => coordinator.close());

for (const [index, [fact, holds]] of Object.entries(coordinatorContract).entries()) {
  test(fact, () => inWorld(`fact-${index}`, holds));
}

/** The coordinator is a process, its clients are here; each of them has a path of its own. */
async function inWorld(name: string, holds: CoordinatorFact): Promise<void> {
  const clock = systemClock();
  const closing: (() => Promise<void>)[] = [];
  try {
    await holds({
      clock,
      name,
      open: async (client) => {
        const path = await TestPath.open(() => coordinator.address);
        const transport = tripleTransport({ clock });
        const opened = createEmbeddedCoordinator({
          clock,
          random: createRandom(closing.length),
          transport,
          calls: new CallLog({ clock, telemetry: silent }),
          address: path.address,
          application: client.split("/")[0]!,
          client,
        });
        closing.push(async () => {
          path.heal();
          await opened.close();
          await transport.close();
          path.close();
        });
        return { coordinator: opened, refuse: () => path.refuse(), heal: () => path.heal() };
      },
      restart: () => coordinator.restart(),
      timing: { retryWithinMs: 1_500, recoverWithinMs: 10_000 },
      rollbackOrder: "reverse",
    });
  } finally {
    await Promise.all(closing.map((close) => close()));
  }
}
