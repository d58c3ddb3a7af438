import type { Call } from "../../../runtime/call/call.ts";
import type { Endpoint } from "../../../runtime/discovery/endpoint.ts";
import { murmur3 } from "../../../runtime/numbers.ts";
import type { Sabotage } from "../../../harness/worlds/world.ts";
import { failingCalls, replacedRouter, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "share 0s..4s",
    gross: () => canaryPercent(20, 100),
    mild: () => canaryPercent(20, 40),
  },
  {
    check: "share 4500ms..8s",
    gross: () => canaryPercent(50, 100),
    mild: () => canaryPercent(50, 75),
  },
  {
    check: "stickiness",
    gross: () => rollingDice(),
    mild: () => flippingKeys(0.05),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];

/** The canary router reads one percentage for another. */
function canaryPercent(written: number, read: number): Sabotage {
  return replacedRouter("canary", (router) => ({
    ...router,
    parse: (content) => router.parse(content.replace(`percent: ${written}\n`, `percent: ${read}\n`)),
  }));
}

/** The canary router draws for each call instead of each user. */
function rollingDice(): Sabotage {
  return replacedRouter("canary", (router) => ({
    ...router,
    parse: (content) => router.parse(content.replace("hashKey: user-id", "hashKey: nothing")),
    stickyKey: () => "user-id",
  }));
}

/** This share of the users sees v1 and v2 in turn. */
function flippingKeys(share: number): Sabotage {
  const turns = new Map<string, number>();
  return replacedRouter("canary", (router) => ({
    ...router,
    compile: (rules, endpoints, context) => {
      const route = router.compile(rules, endpoints, context);
      const lanes = ["v1", "v2"].map((tag) => context.all.filter(({ metadata }) => metadata["dubbo.tag"] === tag));
      return (call: Call): readonly Endpoint[] => {
        const key = call.metadata.get("user-id");
        if (key === undefined || murmur3(key, 1) % 1000 >= share * 1000) return route(call);
        const turn = turns.get(key) ?? 0;
        turns.set(key, turn + 1);
        return lanes[turn % 2]!;
      };
    },
  }));
}
