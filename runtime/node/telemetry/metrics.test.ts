import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { balancers } from "../../balancing/table.ts";
import { Call } from "../../call/call.ts";
import { builtInPolicies } from "../../call/client.ts";
import { chain } from "../../call/filter.ts";
import { noMetadata } from "../../call/metadata.ts";
import { RpcError, type RpcCode } from "../../call/status.ts";
import { endpoint } from "../../fixtures.ts";
import type { Response } from "../../ports/transport.ts";
import { Rejection } from "../../protection/outcome.ts";
import { createRandom } from "../../random.ts";
import type { Attempt, RuntimeEvent } from "../../telemetry/events.ts";
import { ManualClock } from "../../testing/clock.ts";
import { catalogue, durationBuckets, other } from "./catalogue.ts";
import { createMetrics } from "./metrics.ts";

const method = "/flyball.worker.v1.Worker/Do";

function scene(labelValuesMax?: number) {
  const clock = new ManualClock();
  const metrics = createMetrics({ clock, node: "storefront/0", labelValuesMax });
  const passedOn: RuntimeEvent[] = [];
  const telemetry = metrics.counting({ emit: (event) => passedOn.push(event) });
  const emit = (...events: readonly RuntimeEvent[]): void => events.forEach((event) => telemetry.emit(event));
  return { clock, metrics, passedOn, emit, read: async () => parse(await metrics.render()) };
}

/** Every series by its name with its labels in order: `name{a="b"}`. */
function parse(text: string): ReadonlyMap<string, number> {
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((whole) => {
        const line = whole.replace(/ # .*/, "");
        const space = line.lastIndexOf(" ");
        const [name, labels] = line.slice(0, space).split(/[{}]/);
        const sorted =
          labels === undefined
            ? ""
            : `{${labels
                .split(/,(?=\w+=")/)
                .sort()
                .join(",")}}`;
        return [`${name}${sorted}`, Number(line.slice(space + 1))];
      }),
  );
}

const begin = (call: number, atUs = 0, service = "orders"): RuntimeEvent => ({
  type: "call.begin",
  atUs,
  call,
  service,
  method,
  dueUs: atUs,
});
const end = (call: number, atUs: number, code: RpcCode, attempts: readonly Attempt[] = []): RuntimeEvent => ({
  type: "call.end",
  atUs,
  call,
  code,
  attempts,
});
const attempt = (instance: string, endUs: number, code: RpcCode = "OK"): Attempt => ({
  instance,
  beginUs: 0,
  endUs,
  code,
});
const labelled = (name: string, labels: Readonly<Record<string, string>>): string =>
  `${name}{${Object.entries(labels)
    .map(([key, value]) => `${key}="${value}"`)
    .sort()
    .join(",")}}`;
const worker = { rpc_method: "flyball.worker.v1.Worker/Do", peer_service: "orders" };
const ok = { rpc_status_code: "OK" };
const failed = (code: RpcCode) => ({ rpc_status_code: code, error_type: code });

describe("calls that the node makes", () => {
  test("are counted by how they end, and handed on", async () => {
    const { emit, read, passedOn } = scene();
    emit(begin(1), begin(2), begin(3));
    emit(end(1, 20_000, "OK", [attempt("orders/0", 20_000)]), end(2, 70_000, "DEADLINE_EXCEEDED"));
    const series = await read();
    expect(series.get(labelled("rpc_client_call_duration_seconds_count", { ...worker, ...ok }))).toBe(1);
    expect(series.get(labelled("rpc_client_call_duration_seconds_sum", { ...worker, ...ok }))).toBe(0.02);
    const late = { ...worker, ...failed("DEADLINE_EXCEEDED") };
    expect(series.get(labelled("rpc_client_call_duration_seconds_count", late))).toBe(1);
    expect(series.get(labelled("flyball_client_calls_in_flight", { peer_service: "orders" }))).toBe(1);
    expect(series.get(labelled("flyball_client_calls_without_instance_total", { peer_service: "orders" }))).toBe(1);
    expect(passedOn).toHaveLength(5);
  });

  test("are there as 0 from the first one on, for what a call usually ends with", async () => {
    const { emit, read } = scene();
    emit(begin(1));
    const series = await read();
    for (const code of ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"] as const) {
      const labels = { ...worker, ...failed(code) };
      expect(series.get(labelled("rpc_client_call_duration_seconds_count", labels))).toBe(0);
    }
    expect(series.get(labelled("rpc_client_call_duration_seconds_count", { ...worker, ...ok }))).toBe(0);
  });

  test("each attempt counts at its instance; one that nobody waited for is cancelled", async () => {
    const { emit, read } = scene();
    emit(begin(1));
    emit(end(1, 50_000, "OK", [attempt("orders/0", 10_000, "UNAVAILABLE"), attempt("orders/1", -1)]));
    const series = await read();
    const count = (instance: string, how: object): number | undefined =>
      series.get(labelled("rpc_client_attempt_duration_seconds_count", { ...worker, ...how, peer_instance: instance }));
    expect(count("orders/0", failed("UNAVAILABLE"))).toBe(1);
    expect(count("orders/1", failed("CANCELLED"))).toBe(1);
    expect(count("orders/1", ok)).toBe(0);
    expect(series.get(labelled("flyball_client_calls_without_instance_total", { peer_service: "orders" }))).toBe(0);
  });

  test("a call whose trace is recorded is the exemplar of its bucket, and so are its attempts", async () => {
    const { emit, metrics } = scene();
    const traced = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
    emit({ ...(begin(1) as Extract<RuntimeEvent, { type: "call.begin" }>), ...traced }, begin(2));
    emit(end(1, 60_000, "OK", [attempt("orders/0", 30_000)]), end(2, 8_000, "OK"));
    const exemplars = (await metrics.render()).split("\n").filter((line) => line.includes(" # "));
    expect(exemplars).toHaveLength(2);
    expect(exemplars[0]).toMatch(
      /^rpc_client_call_duration_seconds_bucket\{.*le="0.075".*\} 2 # \{trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7"\} 0.06 \d/,
    );
    expect(exemplars[1]).toMatch(/^rpc_client_attempt_duration_seconds_bucket\{.*le="0.05".*\} 1 # .* 0.03 \d/);
  });

  test("an end without a beginning counts nothing", async () => {
    const { emit, read } = scene();
    emit(end(7, 1, "OK"));
    expect([...(await read()).keys()].filter((name) => name.startsWith("rpc_"))).toEqual([]);
  });

  test("a histogram's counts agree: +Inf is all, buckets only grow, the sum is the time that was taken", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 20_000_000 }), { minLength: 1, maxLength: 40 }),
        async (times) => {
          const { emit, read } = scene();
          times.forEach((us, call) => emit(begin(call), end(call, us, "OK")));
          const series = await read();
          const name = "rpc_client_call_duration_seconds";
          const below = [...durationBuckets.map(String), "+Inf"].map((le) =>
            series.get(labelled(`${name}_bucket`, { ...worker, ...ok, le }))!,
          );
          expect(below).toEqual(
            [...durationBuckets, Infinity].map((le) => times.filter((us) => us / 1e6 <= le).length),
          );
          expect(series.get(labelled(`${name}_count`, { ...worker, ...ok }))).toBe(times.length);
          const seconds = times.reduce((sum, us) => sum + us, 0) / 1e6;
          expect(series.get(labelled(`${name}_sum`, { ...worker, ...ok }))).toBeCloseTo(seconds, 6);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("calls that the node serves", () => {
  const unary: Response = { kind: "unary", message: "done", trailers: noMetadata };
  function serving(next: (call: Call) => Promise<Response>) {
    const it = scene();
    const run = chain(it.metrics.watched(builtInPolicies).serverFilters, next);
    const call = (path = method) => new Call({ clock: it.clock, service: "", method: path });
    return { ...it, run, call };
  }
  const count = (series: ReadonlyMap<string, number>, how: object) =>
    series.get(labelled("rpc_server_call_duration_seconds_count", { rpc_method: worker.rpc_method, ...how }));

  test("are counted with the time that they took", async () => {
    const { clock, run, call, read } = serving(async () => {
      await clock.sleep(30_000);
      return unary;
    });
    const answer = run(call(), "work");
    expect((await read()).get("flyball_server_calls_in_flight")).toBe(1);
    await clock.advance(30_000);
    expect(await answer).toBe(unary);
    const series = await read();
    expect(count(series, ok)).toBe(1);
    const sum = labelled("rpc_server_call_duration_seconds_sum", { rpc_method: worker.rpc_method, ...ok });
    expect(series.get(sum)).toBe(0.03);
    expect(series.get("flyball_server_calls_in_flight")).toBe(0);
  });

  test.each([
    ["UNAVAILABLE", true],
    ["INTERNAL", true],
    ["NOT_FOUND", false],
    ["RESOURCE_EXHAUSTED", false],
  ] as const)("that end %s are an error of the server's: %s", async (code, isError) => {
    const { run, call, read } = serving(() => Promise.reject(new RpcError("no", { code })));
    await expect(run(call(), "work")).rejects.toThrow("no");
    expect(count(await read(), isError ? failed(code) : { rpc_status_code: code })).toBe(1);
  });

  test("whose handler throws something else are UNKNOWN, as their callers see it", async () => {
    const { run, call, read } = serving(() => Promise.reject(new TypeError("oops")));
    await expect(run(call(), "work")).rejects.toThrow("oops");
    expect(count(await read(), failed("UNKNOWN"))).toBe(1);
  });

  test("that nobody waited for any more count as their callers saw them end", async () => {
    const { run, call, read } = serving((served) => {
      served.cancel();
      return Promise.resolve(unary);
    });
    await run(call(), "work");
    expect(count(await read(), { rpc_status_code: "CANCELLED" })).toBe(1);
  });

  test("with a stream as an answer are over when the stream is", async () => {
    const { run, call, read } = serving(() =>
      Promise.resolve({
        kind: "stream",
        messages: (async function* () {
          yield 1;
          yield 2;
        })(),
      }),
    );
    const response = await run(call(), "work");
    expect((await read()).get("flyball_server_calls_in_flight")).toBe(1);
    const got: unknown[] = [];
    if (response.kind === "stream") for await (const message of response.messages) got.push(message);
    expect(got).toEqual([1, 2]);
    expect(count(await read(), ok)).toBe(1);
  });
});

describe("what the node knows", () => {
  const membership = (...instances: readonly string[]): RuntimeEvent => ({
    type: "membership",
    atUs: 0,
    service: "orders",
    version: 3,
    instances,
    removed: [],
    source: "registry",
  });

  test("the directory: its size, its version, where it comes from, who left and why", async () => {
    const { emit, read } = scene();
    emit(membership("orders/0", "orders/1"));
    emit({
      ...(membership("orders/0") as Extract<RuntimeEvent, { type: "membership" }>),
      version: 4,
      removed: [{ id: "orders/1", reason: "expired" }],
      source: "protected",
    });
    const series = await read();
    const of = (name: string, labels = {}) => series.get(labelled(name, { peer_service: "orders", ...labels }));
    expect(of("flyball_directory_instances")).toBe(1);
    expect(of("flyball_directory_version")).toBe(4);
    expect(of("flyball_directory_state", { source: "protected" })).toBe(1);
    expect(of("flyball_directory_state", { source: "registry" })).toBe(0);
    expect(of("flyball_directory_removals_total", { reason: "expired" })).toBe(1);
    for (const reason of ["deregistered", "gone", "unknown"]) {
      expect(of("flyball_directory_removals_total", { reason })).toBe(0);
    }
  });

  test("weights and tags, as the balancer was given them, of those who are members", async () => {
    const { emit, read, metrics } = scene();
    emit(membership("orders/0", "orders/1", "orders/2"));
    const policies = metrics.watched(builtInPolicies);
    expect(Object.keys(policies.balancers)).toEqual(Object.keys(balancers));
    const balancer = policies.balancers["weighted-random"]!({ random: createRandom(1) });
    const pool = [
      endpoint({ id: "orders/0", weight: 50 }),
      endpoint({ id: "orders/1", weight: 0, tag: "gray" }),
      endpoint({ id: "orders/9" }),
    ];
    const call = new Call({ clock: new ManualClock(), service: "orders", method });
    expect(balancer(pool).pick(call)?.id).toMatch(/orders\/[09]/);
    const series = await read();
    const weights = [...series].filter(([name]) => name.startsWith("flyball_instance_weight"));
    const of = (instance: string, tag: string) =>
      labelled("flyball_instance_weight", { peer_service: "orders", peer_instance: instance, tag });
    expect(new Map(weights)).toEqual(
      new Map([
        [of("orders/0", ""), 50],
        [of("orders/1", "gray"), 0],
      ]),
    );
    emit(membership("orders/1"));
    expect((await read()).has(of("orders/0", ""))).toBe(false);
  });

  test("the registry's state is one of four, and each change of it counts", async () => {
    const { emit, read } = scene();
    expect((await read()).get(labelled("flyball_registry_state", { state: "connected" }))).toBe(0);
    for (const state of ["connected", "suspended", "connected"] as const) emit({ type: "registry", atUs: 0, state });
    const series = await read();
    expect(series.get(labelled("flyball_registry_state", { state: "connected" }))).toBe(1);
    expect(series.get(labelled("flyball_registry_state", { state: "suspended" }))).toBe(0);
    expect(series.get(labelled("flyball_registry_state_changes_total", { state: "connected" }))).toBe(2);
    expect(series.get(labelled("flyball_registry_state_changes_total", { state: "expired" }))).toBe(0);
  });

  test("a rule document: its version, and what became of it", async () => {
    const { emit, read } = scene();
    const rule_key = "orders.canary";
    emit({ type: "rule", atUs: 0, key: rule_key, version: 1, outcome: "applied" });
    emit({ type: "rule", atUs: 0, key: rule_key, version: 2, outcome: "rejected", reason: "line 3" });
    const series = await read();
    expect(series.get(labelled("flyball_rule_version", { rule_key }))).toBe(2);
    expect(series.get(labelled("flyball_rule_state", { rule_key, outcome: "rejected" }))).toBe(1);
    expect(series.get(labelled("flyball_rule_state", { rule_key, outcome: "applied" }))).toBe(0);
    expect(series.get(labelled("flyball_rule_changes_total", { rule_key, outcome: "applied" }))).toBe(1);
    expect(series.get(labelled("flyball_rule_changes_total", { rule_key, outcome: "removed" }))).toBe(0);
  });

  test("its phase, and how late its timers run: nothing once that is over", async () => {
    const { emit, read, clock } = scene();
    emit({ type: "node", atUs: 0, phase: "listening" }, { type: "node", atUs: 0, phase: "ready" });
    emit({ type: "lag", atUs: 0, maxUs: 40_000 });
    const series = await read();
    expect(series.get(labelled("flyball_node_phase", { phase: "ready" }))).toBe(1);
    expect(series.get(labelled("flyball_node_phase", { phase: "listening" }))).toBe(0);
    expect(series.get("flyball_scheduling_lag_seconds")).toBe(0.04);
    await clock.advance(2_000_000);
    expect((await read()).get("flyball_scheduling_lag_seconds")).toBe(0);
  });

  test("who it is, and since when", async () => {
    const { clock, metrics, read } = scene();
    const who = { service_name: "storefront", service_instance_id: "storefront/0" };
    expect((await read()).get(labelled("target_info", who))).toBe(1);
    await clock.advance(1_000_000);
    const again = createMetrics({ clock, node: "storefront/0" });
    expect(parse(await metrics.render()).get("process_start_time_seconds")).toBe(0);
    expect(parse(await again.render()).get("process_start_time_seconds")).toBe(1);
    expect((await read()).get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect((await read()).get("process_cpu_seconds_total")).toBeGreaterThan(0);
  });
});

test("however many services, methods and instances there are, the number of series stays bounded", async () => {
  const { emit, read } = scene(8);
  for (let index = 0; index < 1000; index++) {
    emit({
      ...(begin(index) as Extract<RuntimeEvent, { type: "call.begin" }>),
      service: `s${index}`,
      method: `/m${index}`,
    });
    emit(end(index, 1, "OK", [attempt(`i${index}`, 1)]));
  }
  const counts = [...(await read())].filter(([name]) => name.startsWith("rpc_client_attempt_duration_seconds_count"));
  expect(counts.length).toBeLessThanOrEqual(4 * 9);
  const others = counts.filter(([name]) => name.includes(`peer_instance="${other}"`));
  expect(others.reduce((sum, [, count]) => sum + count, 0)).toBe(992);
});

test("transactions are counted by what their manager heard, branches by step, and what may come is known as 0", async () => {
  const metrics = createMetrics({ clock: new ManualClock(), node: "bank/0" });
  const { emit } = metrics.counting({ emit: () => undefined });
  const tell = (atUs: number, change: object): void =>
    emit({ type: "transaction", atUs, xid: "tc:1", ...change } as RuntimeEvent);
  const branch = { what: "branch", branchId: "2", branchType: "TCC", resource: "debit" };
  tell(0, { what: "begin", name: "buy", timeoutMs: 60_000 });
  tell(1, { ...branch, status: "Registered" });
  tell(2, { what: "conflict", resource: "stock", lockKey: "stock:1" });
  expect(await metrics.render()).toContain("flyball_transactions_in_flight 1");
  tell(3, { what: "retry", decision: "commit" });
  tell(4, { ...branch, status: "PhaseTwo_CommitFailed_Retryable" });
  tell(250_000, { what: "end", decision: "commit", status: "Committed" });
  tell(250_001, { what: "status", status: "Committed" });
  const lines = (await metrics.render()).split("\n");
  for (const line of [
    'flyball_transaction_duration_seconds_count{outcome="Committed"} 1',
    'flyball_transaction_duration_seconds_sum{outcome="Committed"} 0.25',
    'flyball_transaction_duration_seconds_count{outcome="Rollbacked"} 0',
    "flyball_transactions_in_flight 0",
    'flyball_transaction_retries_total{decision="commit"} 1',
    'flyball_transaction_retries_total{decision="rollback"} 0',
    'flyball_branches_total{mode="TCC",resource="debit",outcome="Registered"} 1',
    'flyball_branches_total{mode="TCC",resource="debit",outcome="PhaseTwo_CommitFailed_Retryable"} 1',
    'flyball_branches_total{mode="TCC",resource="debit",outcome="PhaseTwo_Committed"} 0',
    'flyball_lock_conflicts_total{resource="debit"} 0',
    'flyball_lock_conflicts_total{resource="stock"} 1',
    'flyball_transaction_states_total{state="Committed"} 1',
  ]) {
    expect(lines).toContain(line);
  }
});

test("policies: the state that each is in, how often it came into one, and what it turned away", async () => {
  const { emit, read, metrics } = scene();
  const policy = (more: object): void => emit({ type: "policy", atUs: 0, service: "orders", ...more } as RuntimeEvent);
  policy({ policy: "breaker", instance: "orders/1", state: "open" });
  policy({ policy: "breaker", instance: "orders/1", state: "half-open", value: 1 });
  policy({ policy: "outlier", instance: "orders/2", state: "ejected" });
  policy({ policy: "concurrency-limit", state: "limit", value: 17 });
  emit(begin(1));
  emit({ ...(end(1, 2, "UNAVAILABLE", []) as Extract<RuntimeEvent, { type: "call.end" }>), rejectedBy: "breaker" });
  // A server's own: the node's service.
  const { serverFilters } = metrics.watched(builtInPolicies);
  const refusal = new Rejection("full", { policy: "queue", code: "RESOURCE_EXHAUSTED", hint: "" });
  const served = new Call({ clock: new ManualClock(), service: "", method: "/x/Do" });
  await expect(serverFilters[0]!(served, {}, () => Promise.reject(refusal))).rejects.toBe(refusal);
  const values = await read();
  const found = [...values].filter(([name]) => /breaker|ejected|concurrency|policy_changes|rejections/.test(name));
  const breaker = (state: string): string =>
    `flyball_breaker_state{state="${state}",peer_service="orders",peer_instance="orders/1"}`;
  const sorted = (name: string): string =>
    name.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(",").sort().join()}}`);
  const bySortedName = new Map(found.map(([name, value]) => [sorted(name), value]));
  const valueOf = (name: string): number | undefined => bySortedName.get(sorted(name));
  expect(["closed", "open", "half-open"].map((state) => valueOf(breaker(state)))).toEqual([0, 0, 1]);
  expect(valueOf('flyball_instance_ejected{peer_service="orders",peer_instance="orders/2"}')).toBe(1);
  expect(valueOf('flyball_concurrency_limit{peer_service="orders"}')).toBe(17);
  expect(valueOf('flyball_policy_changes_total{policy="breaker",peer_service="orders",state="open"}')).toBe(1);
  expect(valueOf('flyball_rejections_total{peer_service="orders",policy="breaker"}')).toBe(1);
  expect(found.filter(([name, value]) => name.includes('policy="queue"') && value === 1)).toHaveLength(1);
});

test("every metric that is rendered is in the catalogue, with its labels, and explains itself", async () => {
  const { metrics } = scene();
  const text = await metrics.render();
  const helped = [...text.matchAll(/^# HELP (\S+) (.+)$/gm)].map(([, name]) => name);
  // OpenMetrics names a counter without its suffix.
  const families = Object.values(catalogue).map(({ name }) => name.replace(/_total$/, ""));
  expect(helped.sort()).toEqual(families.sort());
  expect(text).toMatch(/\n# EOF\n$/);
});
