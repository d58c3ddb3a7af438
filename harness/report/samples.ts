import { createRandom } from "../../runtime/random.ts";
import type { RpcCode } from "../../runtime/call/status.ts";
import type { CallRecord, History } from "../history/history.ts";
import type { Plan, WorldName } from "../scenario/plan.ts";
import { at, consumer, constant, provider, scenario, successRate } from "../scenario/builders.ts";
import type { FinishedRun } from "./reporter.ts";
import type { AgreementResult, RunResult } from "./verdict.ts";

/** Results made by hand, for the tests of reports: what they show is known without running anything. */
export const sampleScenario = scenario({
  name: "node-loss",
  title: { en: "A provider dies and nobody notices", zh: "一个提供者宕机，调用方毫无察觉" },
  explanation: { en: "It is retried elsewhere.", zh: "换一个实例重试。" },
  fleet: { storefront: consumer({ instances: 1, calls: "orders" }), orders: provider({ instances: 3 }) },
  load: constant("120/s").on("storefront").for("8s"),
  timeline: [at("2s").kill("orders/1", { for: "4s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%")],
});

export function samplePlan(world: WorldName): Plan {
  const node = (id: string, program: "provider" | "consumer") =>
    ({ id, service: id.slice(0, id.indexOf("/")), program, config: {}, tag: undefined, weight: 100 }) as const;
  return {
    scenario: sampleScenario,
    world,
    seed: 1,
    registry: "embedded",
    hasMutualTls: false,
    isScraped: false,
    scenarioHash: "0",
    nodes: [node("storefront/0", "consumer"), node("orders/0", "provider"), node("orders/1", "provider")],
    rules: [],
    drives: [],
    timeline: [
      {
        atUs: 2_000_000,
        index: 0,
        what: {
          kind: "fault",
          fault: { kind: "kill", target: "orders/1", for: "4s" },
          forUs: 4_000_000,
          nodes: ["orders/1"],
          links: [],
        },
      },
    ],
    checks: [],
    durationUs: 8_000_000,
    drainUs: 2_000_000,
  };
}

/** 120 calls a second; from 2 s on every third is tried twice, and in a failing run every ninth fails, until 3.5 s. */
export function sampleHistory(plan: Plan, { failing = false } = {}): History {
  const random = createRandom(1);
  const calls = Array.from({ length: 960 }, (_, call): CallRecord => {
    const dueUs = Math.floor(call * 8333.3);
    const isHit = dueUs >= 2_000_000 && dueUs < 3_500_000;
    const retried = isHit && call % 3 === 0;
    const code: RpcCode = failing && isHit && call % 9 === 0 ? "UNAVAILABLE" : "OK";
    const endUs = dueUs + 4_000 + random.below(3_000) + (retried ? 6_000 : 0);
    const attempt = { instance: "orders/0", address: "", beginUs: dueUs, endUs, code: "OK" as RpcCode };
    return {
      node: "storefront/0",
      call,
      service: "orders",
      method: "flyball.worker.v1.Worker/Do",
      dueUs,
      beginUs: dueUs,
      endUs,
      code,
      message: undefined,
      attempts: retried ? [attempt, attempt] : [attempt],
      key: undefined,
      tag: undefined,
    };
  });
  return {
    run: {
      type: "run",
      version: 1,
      scenario: "node-loss",
      scenarioHash: "0",
      world: plan.world,
      seed: 1,
      flyball: "0",
      node: "v24",
      nodes: plan.nodes,
      durationUs: plan.durationUs,
    },
    calls,
    infrastructureCalls: [],
    steps: [],
    processes: [],
    documents: [],
    clocks: [],
    disks: [],
    phases: [],
    memberships: [],
    rules: [],
    pushes: [],
    registryStates: [],
    policies: [],
    tasks: [],
    accesses: [],
    transactions: [],
    spans: [],
    gaps: [],
    heard: new Map(),
    planned: new Map([["storefront/0", 960]]),
    lags: [],
    rollouts: [],
    metrics: [],
    end: { type: "end", atUs: 8_100_000, outcome: "complete" },
  };
}

export function sampleRun(world: WorldName, { failing = false } = {}): FinishedRun {
  const plan = samplePlan(world);
  const result: RunResult = {
    scenario: "node-loss",
    world,
    seed: 1,
    verdict: failing ? "fail" : "pass",
    ...(world === "sim" && { digest: "9f86d081884c7d65" }),
    durationMs: 8_100,
    wallMs: world === "sim" ? 310 : 10_900,
    calls: { total: 960, ok: failing ? 940 : 960, failed: failing ? 20 : 0, attempts: 1020 },
    offeredPerSecond: 120,
    latencyMs: { p50: 5.4, p90: 7.1, p99: 13.2, max: 14.9 },
    ...(world !== "sim" && { harnessCpu: 0.034 }),
    instances: {
      "orders/0": { calls: 400, ok: 400, failed: 0 },
      "orders/1": { calls: 220, ok: 160, failed: 60 },
      "orders/2": { calls: 400, ok: 400, failed: 0 },
    },
    faults: [
      {
        kind: "kill",
        target: "orders/1",
        atMs: 2_000,
        forMs: 4_000,
        effect: "confirmed",
        evidence: "0 of 480 successes while it lasted, 80 of 240 before",
      },
    ],
    checks: [
      {
        name: "orders success rate ≥ 99%",
        phase: "safety",
        verdict: failing ? "fail" : "pass",
        observed: failing ? "97.9%" : "100%",
        bound: "≥ 99%",
        detects: "93%",
        trials: 960,
        falseAlarm: 1e-9,
        message: failing ? "20 of 960 calls failed: 20 UNAVAILABLE" : "",
        ...(failing && { brokenAtMs: 2_025 }),
      },
      {
        name: "orders recovers within 500 ms",
        phase: "recovery",
        verdict: "pass",
        observed: "120 ms",
        bound: "≤ 500 ms",
        detects: "1 s",
        trials: 240,
        falseAlarm: world === "sim" ? 1e-9 : null,
        message: "",
      },
    ],
    out: `.flyball/sample/node-loss-${world}-1`,
    replay: `npm run scenario -- node-loss --world ${world} --seed 1`,
  };
  return { result, plan, history: sampleHistory(plan, { failing }) };
}

export const sampleAgreement: AgreementResult = {
  scenario: "node-loss",
  seed: 1,
  verdict: "pass",
  reference: "sim",
  worlds: ["local"],
  rows: [
    {
      quantity: "orders success",
      expected: "100%",
      tolerance: "± 3%",
      measured: [{ world: "local", value: "100%", agrees: true }],
    },
    {
      quantity: "storefront p99",
      expected: "13.2 ms",
      tolerance: "± 20 ms",
      measured: [{ world: "local", value: "21.9 ms", agrees: true }],
    },
  ],
};
