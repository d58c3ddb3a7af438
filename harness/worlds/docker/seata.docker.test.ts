import { setTimeout as sleep } from "node:timers/promises";

import { beforeAll, test } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { SeataClient } from "../../../runtime/node/seata/client.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import { coordinatorContract, type CoordinatorFact } from "../../../runtime/ports/coordinator.contract.ts";
import { createRandom } from "../../../runtime/random.ts";
import { seata, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

describeReal("Seata's coordinator", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(seata);
  }, 120_000);

  for (const [index, [fact, holds]] of Object.entries(coordinatorContract).entries()) {
    test(fact, () => inWorld(`fact-${index}`, holds), 60_000);
  }

  async function inWorld(name: string, holds: CoordinatorFact): Promise<void> {
    const clock = systemClock();
    const closing: (() => Promise<void>)[] = [];
    try {
      await holds({
        clock,
        name,
        open: async (client) => {
          const path = await TestPath.open(() => server.addressOf(8091));
          const opened = new SeataClient({
            clock,
            random: createRandom(closing.length),
            address: "seata:8091",
            dial: () => path.address,
            application: client.split("/")[0]!,
          });
          closing.push(async () => {
            path.heal();
            await opened.close();
            path.close();
          });
          return { coordinator: opened, refuse: () => path.refuse(), heal: () => path.heal() };
        },
        restart: async () => {
          // Its file store writes asynchronously: a moment's work would be lost.
          await sleep(2_500);
          await server.container.kill();
          await server.restart();
        },
        timing: { retryWithinMs: 3_500, recoverWithinMs: 30_000 },
        rollbackOrder: "registration",
      });
    } finally {
      await Promise.all(closing.map((close) => close()));
    }
  }
});
