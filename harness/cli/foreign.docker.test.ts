import { existsSync } from "node:fs";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

import { runScenario } from "../run.ts";
import { describeReal } from "../worlds/docker/testing.ts";
import { dockerWorld } from "../worlds/docker/world.ts";
import { selectScenarios } from "./catalog.ts";

const isBuilt = existsSync(join(import.meta.dirname, "../../.flyball/foreign/consumer"));

describeReal("dubbo-go in a fleet", () => {
  const world = dockerWorld();
  afterAll(() => world.close!(), 60_000);

  test.skipIf(!isBuilt).each(["mixed-fleet", "mixed-fleet-nacos"])(
    isBuilt ? "is called, and calls (%s)" : "is called, and calls (%s; skipped: npm run foreign builds it)",
    async (name) => {
      const [listed] = await selectScenarios([name]);
      const { result, history } = await runScenario(listed!.scenario, { world, seed: 1 });
      expect(result.checks.map(({ verdict }) => verdict)).not.toContain("fail");
      expect(new Set(history.calls.map(({ node }) => node))).toEqual(new Set(["storefront/0", "storefront-go/0"]));
      // Each of the four is tried by both, under its own name.
      for (const caller of ["storefront/0", "storefront-go/0"]) {
        const called = history.calls.filter(({ node }) => node === caller).flatMap(({ attempts }) => attempts);
        expect([...new Set(called.map(({ instance }) => instance))].sort()).toEqual([
          ...["orders/0", "orders/1", "orders/2", "orders/3"],
        ]);
      }
    },
    240_000,
  );
});
