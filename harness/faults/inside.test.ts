import { describe, expect, test } from "vitest";

import { openWorld } from "../cli/worlds.ts";
import type { History } from "../history/history.ts";
import type { FaultResult, RunResult } from "../report/verdict.ts";
import { runScenario } from "../run.ts";
import { at, consumer, poisson, provider, scenario, successRate } from "../scenario/builders.ts";
import type { Scenario } from "../scenario/schema.ts";
import type { World } from "../worlds/world.ts";
import { faultOf, idleWorld } from "./idle.fixture.ts";

/** Faults that a node does to itself when it is told, on a small simulated fleet: what they do shows in the records. */
const route = (region: string): string => `configVersion: v3.0
scope: application
force: true
runtime: true
enabled: true
key: orders
conditions:
  - => region=${region}
`;
const key = "orders.condition-router";

interface Sketch {
  readonly registry?: Scenario["registry"];
  readonly rules?: Scenario["rules"];
  readonly world?: World;
}

async function play(
  timeline: Scenario["timeline"],
  { registry = {}, rules, world }: Sketch = {},
): Promise<{ readonly result: RunResult; readonly history: History }> {
  const value = scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    registry: { sessionTimeout: "1500ms", ...registry },
    fleet: {
      storefront: consumer({
        instances: 2,
        calls: "orders",
        timeout: "1s",
        attemptTimeout: "200ms",
        balancer: "smooth-weighted-round-robin",
      }),
      orders: provider({ instances: 4, labels: { region: "r1" }, serviceTime: { exponential: { mean: "5ms" } } }),
    },
    ...(rules && { rules }),
    load: poisson("200/s").on("storefront").for("6s"),
    timeline,
    expect: [successRate("orders").atLeast("90%").detects("75%")],
  });
  return runScenario(value, { world: world ?? (await openWorld("sim")), seed: 1 });
}

/** Something that changes the list of orders while a fault of watches lasts. */
const change = at("2500ms").stop("orders/3");
const about = { service: "orders", for: "2s" } as const;

const cases: readonly (readonly [kind: string, timeline: Scenario["timeline"]])[] = [
  ["session-expiry", [at("2s").sessionExpiry("orders/1")]],
  ["missed-watch", [at("2s").missedWatch("storefront/0", about), change]],
  ["delayed-watch", [at("2s").delayedWatch("storefront/0", { ...about, by: "800ms" }), change]],
  ["duplicated-watch", [at("2s").duplicatedWatch("storefront/0", about), change]],
  ["stale-snapshot", [at("2s").staleSnapshot("storefront/0", about), change]],
  ["empty-push", [at("2s").emptyPush("storefront/0", about)]],
  ["partial-push", [at("2s").partialPush("storefront", about)]],
  ["diverging-views", [at("2s").divergingViews("storefront", about)]],
  ["resurrected-ephemeral", [at("1s").stop("orders/1"), at("4s").resurrectedEphemeral("orders/1", { for: "1s" })]],
  ["brown-out", [at("2s").brownOut({ delay: "200ms", errorRate: 0.2, for: "3s" })]],
  ["flapping-registration", [at("1s").flappingRegistration("orders/1", { every: "1600ms", for: "4s" })]],
  ["zombie", [at("2s").zombie("orders/1", { for: "2s" })]],
  ["half-dead", [at("2s").halfDead("orders/1", { for: "2s" })]],
  ["event-loop-block", [at("2s").eventLoopBlock("orders/1", { block: "150ms", every: "500ms", for: "3s" })]],
  ["slow-cpu", [at("2s").slowCpu("orders/1", { share: 0.3, for: "3s" })]],
  ["clock-offset", [at("2s").clockOffset("orders/1", { by: "-10m", for: "2s" })]],
  [
    "clock-step",
    [at("2s").clockStep("orders/1", { by: "300ms" }), at("3500ms").clockStep("orders/1", { by: "-300ms" })],
  ],
  ["clock-drift", [at("2s").clockDrift("orders/1", { rate: 0.5, for: "2s" })]],
  ["malformed-rule", [at("2s").malformedRule(key, { content: "conditions: [", for: "1s" })]],
  ["rolled-back-rule", [at("2s").rolledBackRule(key, { content: route("r1"), for: "1s" })]],
  ["out-of-order-rule", [at("2s").outOfOrderRule(key, { content: route("r1") })]],
  ["half-pushed-rule", [at("2s").halfPushedRule("storefront/0", { key, content: route("r1"), for: "1s" })]],
];

describe.each(cases)("%s", (kind, timeline) => {
  test.each(["embedded", "zookeeper", "nacos", "consul"] as const)("shows in the records over %s", async (like) => {
    const registry = like === "embedded" ? {} : { like };
    expect(faultOf(await play(timeline, { registry }), kind)).toMatchObject({ effect: "confirmed" });
  });

  test("isn't believed of a harness that does nothing", async () => {
    const { effect } = faultOf(await play(timeline, { world: await idleWorld() }), kind);
    expect(effect).not.toBe("confirmed");
  });

  test("leaves nothing behind when it is lifted", async () => {
    const { history } = await play(timeline);
    const gone = timeline.flatMap((step) =>
      "action" in step && step.action.kind === "stop" ? step.action.target : [],
    );
    const whole = ["orders/0", "orders/1", "orders/2", "orders/3"].filter((id) => !gone.includes(id));
    for (const caller of ["storefront/0", "storefront/1"]) {
      const last = history.memberships.findLast(({ node }) => node === caller)!;
      expect(last.instances.toSorted()).toEqual(whole);
    }
    const late = history.calls.filter(({ service, dueUs }) => service === "orders" && dueUs > 5_500_000);
    // A node that has gone is tried until the news of it comes.
    expect(late.filter(({ code }) => code !== "OK")).toEqual([]);
  });
});

test("over Nacos, which gathers changes, a registration may flap faster than anybody is told", async () => {
  const timeline = [at("2s").flappingRegistration("orders/1", { every: "300ms", for: "2s" })];
  const flapping = (registry: Scenario["registry"]): Promise<FaultResult> =>
    play(timeline, { registry }).then((played) => faultOf(played, "flapping-registration"));
  expect(await flapping({ like: "nacos" })).not.toMatchObject({ effect: "confirmed" });
  expect(await flapping({ like: "consul" })).toMatchObject({ effect: "confirmed" });
});

test("a rule that was there for a while makes way for the one before", async () => {
  const { history } = await play([at("2s").malformedRule(key, { content: "conditions: [", for: "1s" })], {
    rules: { [key]: route("r1") },
  });
  const outcomes = history.rules.filter(({ node }) => node === "storefront/0").map(({ outcome }) => outcome);
  expect(outcomes).toEqual(["applied", "rejected", "applied"]);
});

test("a rule that was overtaken by a newer one changes nothing", async () => {
  const { history } = await play([at("2s").outOfOrderRule(key, { content: route("r1") })], {
    rules: { [key]: route("elsewhere") },
  });
  for (const caller of ["storefront/0", "storefront/1"]) {
    const told = history.documents.filter((document) => document.node === caller && document.key === key);
    expect(told.map(({ version }) => version)).toEqual([1, 2, 1, 2]);
    const rules = history.rules.filter((rule) => rule.node === caller && rule.key === key);
    expect(rules.map(({ version, outcome }) => [version, outcome])).toEqual([
      [1, "applied"],
      [2, "applied"],
    ]);
  }
});

test("where nothing changes, a watch has nothing to miss, and nothing was tested", async () => {
  const { result } = await play([at("2s").missedWatch("storefront/0", about)]);
  expect(faultOf({ result }, "missed-watch").effect).toBe("none");
  expect(result.verdict).toBe("inconclusive");
});

const conflicts: readonly (readonly [string, Scenario["timeline"], RegExp])[] = [
  [
    "two views of one list",
    [at("1s").emptyPush("storefront", about), at("2s").staleSnapshot("storefront/0", about)],
    /stale-snapshot storefront\/0 about orders at 2 s: "empty-push" has hold of it then, from 1 s until 3 s/,
  ],
  [
    "a zombie that flaps",
    [at("1s").zombie("orders/1"), at("2s").flappingRegistration("orders/1", { every: "200ms" })],
    /"zombie" has hold of it then, from 1 s until the end/,
  ],
  [
    "a pause while the event loop is blocked",
    [at("1s").slowCpu("orders/1", { share: 0.5, for: "2s" }), at("2s").pause("orders/1", { for: "1s" })],
    /pause orders\/1 at 2 s: "slow-cpu" has hold of it/,
  ],
  [
    "somebody publishes what a fault has hold of",
    [at("1s").malformedRule(key, { content: "[", for: "2s" }), at("2s").publish(key, route("r1"))],
    /publish orders\.condition-router at 2 s: "malformed-rule" has hold of it/,
  ],
  [
    "lies of a registry that is away",
    [at("1s").kill("registry", { for: "2s" }), at("2s").missedWatch("storefront", about)],
    /missed-watch at 2 s needs registry\/0: it is killed then, from 1 s until 3 s/,
  ],
  [
    "a rule from a config centre that is frozen",
    [at("1s").pause("config-center", { for: "2s" }), at("2s").malformedRule(key, { content: "[" })],
    /malformed-rule at 2 s needs config-center\/0: it is paused then/,
  ],
  ["the living can't come back", [at("1s").resurrectedEphemeral("orders/1")], /orders\/1 at 1 s: it is alive then/],
  ["one view differs from nobody's", [at("1s").divergingViews("storefront/0", about)], /a single client's view/],
  ["who never asks is told nothing", [at("1s").emptyPush("orders/1", about)], /orders\/1 doesn't call orders/],
  ["a consumer registers nowhere", [at("1s").zombie("storefront/0")], /"zombie" is for providers/],
  ["the registry has no session", [at("1s").sessionExpiry("registry")], /registry\/0 has no session/],
  [
    "a rule for all is half pushed to nobody",
    [at("1s").halfPushedRule("storefront", { key, content: "" })],
    /nobody is left out/,
  ],
  ["an event loop that never runs", [at("1s").eventLoopBlock("orders", { block: "1s" })], /it never runs/],
  ["a flap of no time", [at("1s").flappingRegistration("orders", { every: "1ms" })], /registers once in 1ms/],
  [
    "a flap that isn't one",
    [at("1s").flappingRegistration("orders", { every: "1s", for: "1s" })],
    /less than two rounds of 1s/,
  ],
  [
    "news later than a watch's patience",
    [at("1s").delayedWatch("storefront", { ...about, by: "2s" })],
    /2 s late, but a client gives its watch up after 1.5 s/,
  ],
  ["a brown-out without delay", [at("1s").brownOut({ delay: "0ms" })], /a delay of no time/],
];

test.each(conflicts)("%s is refused", async (_, timeline, message) => {
  await expect(play(timeline)).rejects.toThrow(message);
});
