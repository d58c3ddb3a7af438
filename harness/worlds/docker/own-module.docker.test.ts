import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { constant, consumer, provider, scenario, successRate } from "../../scenario/builders.ts";
import type { Plan } from "../../scenario/plan.ts";
import { planScenario } from "../../scenario/planner.ts";
import { observed } from "../live/testing.ts";
import { describeReal } from "./testing.ts";
import { dockerWorld } from "./world.ts";

describeReal("a module of the user's own", () => {
  const world = dockerWorld();
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "flyball-own-"));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
    await world.close!();
  }, 60_000);

  const planWith = (file: string): Plan =>
    planScenario(
      scenario({
        name: "own",
        title: { en: "Own", zh: "自己的" },
        explanation: { en: "A service of one's own.", zh: "自己的服务。" },
        fleet: {
          shop: consumer({ instances: 1, calls: "orders" }),
          orders: provider({ instances: 2, own: { file } }),
        },
        load: constant("100/s").on("shop").for("8s"),
        expect: [successRate("orders").atLeast("99%").detects("90%")],
      }),
      { world: "docker", seed: 1, directory },
    );

  test("is found in its container with what it imports, up to its package.json, and answers", async () => {
    await mkdir(join(directory, "project/services"), { recursive: true });
    await writeFile(join(directory, "project/package.json"), `{ "type": "module" }`);
    await writeFile(join(directory, "project/price.ts"), `export const price: string = "9.99";`);
    const text = `
      import { service } from "flyball/service";
      import { price } from "../price.ts";
      export default service({ start: ({ work }) => ({ do: () => work(1_000).then(() => ({ payload: price })) }) });`;
    await writeFile(join(directory, "project/services/orders.ts"), text);
    const run = observed();
    await world.run(planWith("project/services/orders.ts"), run.options, async (fleet) => {
      expect(await run.drive(fleet, 40)).toEqual({ OK: 40 });
      expect(run.instances()).toEqual(["orders/0", "orders/1"]);
    });
  }, 120_000);

  test("that throws when it is imported is named with its place", async () => {
    await writeFile(join(directory, "throws.ts"), `const x: number = 1;\nthrow new TypeError("boom");`);
    const run = observed();
    const started = world.run(planWith("throws.ts"), run.options, async () => expect.unreachable());
    await expect(started).rejects.toThrow(/own\/throws\.ts can't be loaded: it throws TypeError: boom \(at 2:7\)/);
  }, 120_000);
});
