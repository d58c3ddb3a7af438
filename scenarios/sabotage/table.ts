import type { Call } from "../../runtime/call/call.ts";
import type { Endpoint } from "../../runtime/discovery/endpoint.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";
import {
  deafToTraces,
  failingCalls,
  forgettingDirectories,
  ghostAttempts,
  lateRemovals,
  lostSpans,
  replacedRouter,
  slowCalls,
  swappedBalancer,
  unfairBalancer,
  wastefulAttempts,
} from "./kit.ts";

/** Two defects for one check of one scenario: a gross one, and one at exactly what the check says it detects. */
export interface SabotagedCheck {
  readonly scenario: string;
  /** The check's kind and, where a scenario has several, which of them. */
  readonly check: string;
  readonly gross: (seed: number) => Sabotage;
  readonly mild: (seed: number) => Sabotage;
}

const second = 1_000_000;

export const sabotages: readonly SabotagedCheck[] = [
  {
    // The news that it leaves takes too long: its callers meet a closed door for a quarter of a second.
    scenario: "graceful-stop",
    check: "graceful-stop",
    gross: () => lateRemovals(3.75 * second),
    mild: (seed) => failingCalls(seed, "orders", 0.05, { fromUs: 3 * second, toUs: 4.5 * second }),
  },
  {
    scenario: "graceful-stop",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 3, { fromUs: 5 * second }),
  },
  {
    scenario: "graceful-stop",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failfast", 0.8),
    mild: (seed) => wastefulAttempts(seed, "failfast", 0.5),
  },
  {
    // 7 % of all calls, before the kill: afterwards they would break the recovery as well.
    scenario: "node-loss",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    scenario: "node-loss",
    check: "no-dead-calls",
    gross: () => lateRemovals(20 * second),
    // Death at 1.5 s, 3 s allowed, and 1 s more.
    mild: () => lateRemovals(5.5 * second),
  },
  {
    scenario: "node-loss",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The dead instance alone costs 0.07 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6 - 0.07),
  },
  {
    scenario: "node-loss",
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 2 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 2 * second, toUs: 3 * second }),
  },
  {
    scenario: "cable-pulled",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    scenario: "cable-pulled",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The silent instance alone costs 0.04 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6 - 0.04),
  },
  {
    scenario: "cable-pulled",
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 4.5 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 4.5 * second, toUs: 5.5 * second }),
  },
  {
    // Before the kill: 5 % of all calls.
    scenario: "slow-to-notice",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.05 * 28) / 2, { toUs: 2 * second }),
  },
  {
    scenario: "slow-to-notice",
    check: "no-dead-calls",
    gross: () => lateRemovals(30 * second),
    // Death at 2 s, 22 s allowed, and 1 s more.
    mild: () => lateRemovals(25 * second),
  },
  {
    scenario: "slow-to-notice",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The dead instance alone costs 0.08 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.5 - 0.08),
  },
  {
    scenario: "latency-injection",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 2, { toUs: 2 * second }),
  },
  {
    scenario: "latency-injection",
    check: "latency",
    gross: () => swappedBalancer("p2c", "weighted-random"),
    // The slow link itself makes 6 % of the calls slow.
    mild: (seed) => slowCalls(seed, "orders", 150_000, 0.32 - 0.06, { fromUs: 2 * second, toUs: 5 * second }),
  },
  {
    scenario: "latency-injection",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
  {
    scenario: "latency-injection",
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 5.5 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 5.5 * second, toUs: 6.5 * second }),
  },
  {
    scenario: "canary-shift",
    check: "share 0s..4s",
    gross: () => canaryPercent(20, 100),
    mild: () => canaryPercent(20, 40),
  },
  {
    scenario: "canary-shift",
    check: "share 4500ms..8s",
    gross: () => canaryPercent(50, 100),
    mild: () => canaryPercent(50, 75),
  },
  {
    scenario: "canary-shift",
    check: "stickiness",
    gross: () => rollingDice(),
    mild: () => flippingKeys(0.05),
  },
  {
    scenario: "canary-shift",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
  {
    scenario: "registry-outage",
    check: "success-rate",
    gross: () => forgettingDirectories(),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    scenario: "registry-outage",
    check: "share",
    gross: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.9),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.5),
  },
  {
    scenario: "registry-outage",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
  {
    scenario: "registry-paused",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 5 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    scenario: "registry-paused",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
  {
    scenario: "registry-cut-off",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 5 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    scenario: "registry-cut-off",
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
  {
    // Before the kill: 20 % of all calls, of which the kill itself costs 3.
    scenario: "no-retries",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", ((0.2 - 0.03) * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    // To a dead instance that nobody waits for: asked in vain beside every call, so that the calls themselves stay well.
    scenario: "no-retries",
    check: "no-dead-calls",
    gross: () => ghostAttempts("failfast", "orders/1", {}),
    mild: () => ghostAttempts("failfast", "orders/1", { toUs: 4 * second }),
  },
  {
    scenario: "no-retries",
    check: "recovery",
    gross: (seed) => failingCalls(seed, "orders", 0.3, { fromUs: 3 * second, toUs: 4.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.5, { fromUs: 3 * second, toUs: 4 * second }),
  },
  {
    scenario: "trace-of-a-retry",
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.5),
    mild: (seed) => failingCalls(seed, "orders", 0.1),
  },
  {
    scenario: "trace-of-a-retry",
    check: "traces",
    gross: () => deafToTraces("payments"),
    mild: (seed) => lostSpans(seed, "orders", 0.02),
  },
];

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
