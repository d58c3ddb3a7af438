import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { createEmbeddedConfigCenter } from "../../runtime/configuration/embedded.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { TestProgram } from "../../runtime/node/testing/program.ts";
import { tripleTransport } from "../../runtime/node/triple.ts";
import type { ConfigCenter } from "../../runtime/ports/config-center.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { createRandom } from "../../runtime/random.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";
import type { NodeContext } from "../service.ts";
import { rules } from "./rules.ts";

/** The operator in this process, the config centre a program of its own, real sockets between. */

const clock = systemClock();
const transport = tripleTransport({ clock });
let program: TestProgram;
let center: ConfigCenter;
beforeAll(async () => {
  program = await TestProgram.start(join(import.meta.dirname, "..", "main.ts"), "config-center");
  center = createEmbeddedConfigCenter({
    ...{ clock, transport, random: createRandom(1), address: program.address },
    calls: new CallLog({ clock, telemetry: silent }),
  });
});
afterAll(async () => {
  await center.close();
  await transport.close();
  await program.close();
});

/** The first versions of a document, as whoever watches it hears of them. */
function versionsOf(key: string, count: number): Promise<readonly string[]> {
  return new Promise((resolve) => {
    const contents: string[] = [];
    const subscription = center.watch({ key, group: "dubbo" }, ({ exists, content }) => {
      if (exists) contents.push(content);
      if (contents.length < count) return;
      subscription.close();
      resolve(contents);
    });
  });
}

async function operator(config: object) {
  const own = tripleTransport({ clock });
  const context = {
    ...{ node: "rules/0", clock, transport: own, random: createRandom(2), telemetry: silent },
    calls: new CallLog({ clock, telemetry: silent }),
  } as Partial<NodeContext> as NodeContext;
  const running = await rules.start(context, rules.parse({ configCenter: program.address, ...config }));
  return {
    go: () => running.go(),
    close: async () => {
      await running.stop();
      await own.close();
    },
  };
}

test("publishes its documents in turn, and begins again after the last", async () => {
  const key = "orders.canary-router";
  const heard = versionsOf(key, 4);
  const running = await operator({ everyMs: 100, documents: ["one", "two"].map((content) => ({ key, content })) });
  await running.go();
  expect(await heard).toEqual(["one", "two", "one", "two"]);
  await running.close();
});

test("without a pause it publishes all of them, once", async () => {
  const documents = ["a.tag-router", "b.tag-router"].map((key) => ({ key, content: `of ${key}` }));
  const running = await operator({ documents });
  await running.go();
  for (const { key, content } of documents) {
    expect(await center.get({ key, group: "dubbo" })).toMatchObject({ content, version: 1 });
  }
  await running.close();
});
