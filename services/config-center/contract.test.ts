import { join } from "node:path";

import { afterAll, beforeAll, test } from "vitest";

import { createEmbeddedConfigCenter } from "../../runtime/configuration/embedded.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { TestPath } from "../../runtime/node/testing/path.ts";
import { TestProgram } from "../../runtime/node/testing/program.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import { configCenterContract, type ConfigCenterFact } from "../../runtime/ports/config-center.contract.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";

const main = join(import.meta.dirname, "..", "main.ts");

let configCenter: TestProgram;
beforeAll(async () => {
  configCenter = await TestProgram.start(main, "config-center");
});
afterAll(() => configCenter.close());

for (const [index, [fact, holds]] of Object.entries(configCenterContract).entries()) {
  test(fact, () => inWorld(`document-${index}`, holds));
}

/** The config centre is a process, its clients are here; each of them has a path of its own. */
async function inWorld(key: string, holds: ConfigCenterFact): Promise<void> {
  const clock = systemClock();
  const closing: (() => Promise<void>)[] = [];
  try {
    await holds({
      clock,
      key,
      open: async (_client, { isRefused = false } = {}) => {
        const path = await TestPath.open(() => configCenter.address);
        if (isRefused) path.refuse();
        const transport = tripleTransport({ clock });
        const opened = createEmbeddedConfigCenter({
          clock,
          random: createRandom(closing.length),
          transport,
          calls: new CallLog({ clock, telemetry: silent }),
          address: path.address,
        });
        closing.push(async () => {
          path.heal();
          await opened.close();
          await transport.close();
          path.close();
        });
        return { configCenter: opened, cut: () => path.cut(), heal: () => path.heal(), refuse: () => path.refuse() };
      },
      restart: () => configCenter.restart(),
      timing: { pushWithinMs: 5000, failWithinMs: 2000, recoverWithinMs: 10_000 },
    });
  } finally {
    await Promise.all(closing.map((close) => close()));
  }
}
