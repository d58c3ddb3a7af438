import type { Random } from "../../runtime/ports/random.ts";
import { createRandom } from "../../runtime/random.ts";
import {
  at,
  atomicity,
  bank,
  conservation,
  consumer,
  isolation,
  nothingLeft,
  poisson,
  scenario,
} from "../../harness/scenario/builders.ts";
import type { BankMode } from "../../services/bank/mode.ts";
import type { Scenario, StepSpec } from "../../harness/scenario/schema.ts";

const lengthMs = 3_000;
const nodes = ["coordinator/0", "order/0", "account/0", "stock/0"];
const links = [
  ...["order", "account", "stock"].map((from) => ({ from, to: "coordinator" })),
  ...["account", "stock"].map((to) => ({ from: "order", to })),
];

/** A bank, some of its orders given up, with faults drawn for everybody who takes part: a function of the seed alone. */
export function randomTransfers(seed: number, mode: BankMode = "tcc"): Scenario {
  const random = createRandom(seed).fork("random transfers");
  const ms = (from: number, to: number): string => `${between(random, from, to)}ms`;
  return scenario({
    name: "random-transfers",
    title: { en: `Random transfers, seed ${seed}`, zh: `随机转账，种子 ${seed}` },
    explanation: { en: "Random transfers under random faults.", zh: "随机故障之下的随机转账。" },
    fleet: {
      buyer: consumer({ instances: 1, calls: "order", timeout: "2s", retries: 0, key: { name: "user", count: 20 } }),
      ...bank({
        mode,
        items: between(random, 1, 20),
        abortRate: between(random, 0, 3) / 10,
        timeout: ms(100, 1_000),
        reserve: { timeout: ms(50, 600) },
        account: { serviceTime: { uniform: { from: "0ms", to: ms(1, 150) } } },
        stock: { serviceTime: { uniform: { from: "0ms", to: ms(1, 150) } } },
        ...(mode === "at" && { looks: { locking: "50%" } }),
      }),
    },
    coordinator: { retry: ms(20, 300), branchTimeout: ms(50, 500) },
    load: poisson("25/s").on("buyer").for(`${lengthMs}ms`),
    timeline: faults(random),
    expect: [
      conservation("order").detects("30%"),
      atomicity("order").detects("30%"),
      nothingLeft("order").detects("30%"),
      ...(mode === "at" ? [isolation("order").detects("90%")] : []),
    ],
  });
}

/** One thing at most happens to a node; links may have several at a time. */
function faults(random: Random): readonly StepSpec[] {
  const taken = new Set<string>();
  const steps: StepSpec[] = [];
  for (let left = between(random, 1, 5); left > 0; left--) {
    const atMs = between(random, 200, lengthMs - 900);
    const forMs = between(random, 50, 800);
    const [moment, options] = [at(`${atMs}ms`), { for: `${forMs}ms` }];
    const kind = below(random, ["kill", "kill", "pause", "latency", "partition", "reset", "loss"]);
    if (kind === "kill" || kind === "pause") {
      const node = below(random, nodes);
      // Who was drawn first has the node.

      if (taken.has(node)) continue;
      taken.add(node);
      steps.push(moment[kind](node, options));
      continue;
    }
    const link = below(random, links);
    if (kind === "latency") steps.push(moment.latency(link, { add: `${between(random, 5, 500)}ms`, ...options }));
    else if (kind === "loss") steps.push(moment.loss(link, { probability: between(random, 1, 5) / 100, ...options }));
    else if (kind === "reset") steps.push(moment.reset(link));
    else steps.push(moment.partition(link, { direction: below(random, ["both", "forward", "backward"]), ...options }));
  }
  return steps;
}

const between = (random: Random, from: number, to: number): number => from + random.below(to - from + 1);

function below<const T>(random: Random, all: readonly T[]): T {
  return all[random.below(all.length)]!;
}
