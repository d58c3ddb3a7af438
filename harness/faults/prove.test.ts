import { expect, test } from "vitest";

import { openWorld } from "../cli/worlds.ts";
import { runScenario } from "../run.ts";
import type { RunOptions } from "../run-options.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../scenario/builders.ts";
import type { FaultResult } from "../report/verdict.ts";
import type { StepSpec } from "../scenario/schema.ts";

const faultsOf = async (...timeline: readonly StepSpec[]): Promise<readonly FaultResult[]> =>
  (await played(timeline)).faults;

async function played(timeline: readonly StepSpec[], options: Pick<RunOptions, "hasControls"> = {}) {
  const value = scenario({
    name: "proof",
    title: { en: "Proof", zh: "证明" },
    explanation: { en: "What each fault can show.", zh: "每个故障能证明什么。" },
    tags: [],
    fleet: {
      shop: consumer({ instances: 1, calls: "stock", timeout: "2s" }),
      stock: provider({ instances: 2, serviceTime: "2ms" }),
    },
    load: constant("100/s").on("shop").for("6s"),
    timeline: [...timeline],
    expect: [successRate("stock").atLeast("90%").detects("50%")],
  });
  return (await runScenario(value, { world: await openWorld("sim"), seed: 1, ...options })).result;
}

const slow = at("2s").latency("stock/0", { add: "300ms", for: "3s" });
const harmless = at("2s").loss("stock/0", { probability: 0.00001, for: "3s" });

// Whether a fault took effect at all is what users ask: https://github.com/chaos-mesh/chaos-mesh/issues/4948.
test("a fault that does nothing takes no credit for the one beside it", async () => {
  const [latency, loss] = await faultsOf(slow, harmless);
  expect(latency?.effect).toBe("confirmed");
  expect(loss?.effect).not.toBe("confirmed");
});

test("two faults at once on different nodes are each proven", async () => {
  const faults = await faultsOf(slow, at("2s").kill("stock/1", { for: "2s" }));
  expect(faults.map(({ effect }) => effect)).toEqual(["confirmed", "confirmed"]);
});

test("without control runs, what only they can tell stays unproven; the run and its checks are the same", async () => {
  const timeline = [slow, harmless];
  const [whole, bare] = [await played(timeline), await played(timeline, { hasControls: false })];
  expect(bare.faults.map(({ effect }) => effect)).toEqual(["inconclusive", "inconclusive"]);
  expect(whole.faults[0]?.effect).toBe("confirmed");
  expect({ digest: bare.digest, checks: bare.checks }).toEqual({ digest: whole.digest, checks: whole.checks });
});
