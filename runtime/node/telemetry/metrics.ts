import { Counter, Gauge, Histogram, Registry, type OpenMetricsContentType } from "prom-client";

import type { Balancer } from "../../balancing/balancer.ts";
import type { Call } from "../../call/call.ts";
import type { PolicyTables } from "../../call/client.ts";
import type { Filter } from "../../call/filter.ts";
import { toRpcError, type RpcCode } from "../../call/status.ts";
import { observedStream } from "../../call/stream.ts";
import { Rejection } from "../../protection/outcome.ts";
import type { Endpoint } from "../../discovery/endpoint.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Telemetry } from "../../ports/telemetry.ts";
import type { CallBegin, CallEnd, MembershipChange, NodePhaseChange, PolicyChange } from "../../telemetry/events.ts";
import type { RegistryStateChange, RuleChange, RuntimeEvent, TransactionChange } from "../../telemetry/events.ts";
import { finished, retryable, type Decision } from "../../transactions/phase-two.ts";
import type { BranchStatus, GlobalStatus } from "../../transactions/status.ts";
import { catalogue, durationBuckets, other, type MetricSpec } from "./catalogue.ts";

export interface MetricsOptions {
  readonly clock: Clock;
  /** "orders/0": who this is. */
  readonly node: string;
  /**
   * Different values that a label may have before further ones become `_OTHER`. Default 256. It bounds what a node can cost
   * Prometheus, whoever calls it and whatever registers.
   */
  readonly labelValuesMax?: number | undefined;
}

/** What a node counts about itself, for Prometheus: `catalogue.ts` lists it. */
export interface NodeMetrics {
  /** Hands every event on, and counts it. A node has one. */
  counting(telemetry: Telemetry): Telemetry;
  /** The same policies, watched: served calls are counted, and balancers tell the weights that they were given. */
  watched(policies: PolicyTables): PolicyTables;
  /** The text that Prometheus scrapes: OpenMetrics, because only that has exemplars. */
  render(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(options: MetricsOptions): NodeMetrics {
  return new Metrics(options);
}

type OpenMetrics = Registry<OpenMetricsContentType>;

class Metrics implements NodeMetrics {
  readonly #registry = new Registry<OpenMetricsContentType>();
  readonly #clock: Clock;
  readonly #calls: ClientCalls;
  readonly #served: ServedCalls;
  readonly #directories: Directories;
  readonly #session: Session;
  readonly #rules: Rules;
  readonly #policies: Policies;
  readonly #transactions: Transactions;
  #lag: { readonly atUs: number; readonly maxUs: number } | undefined;
  readonly #phase: StateSet;

  constructor({ clock, node, labelValuesMax = 256 }: MetricsOptions) {
    const registry = this.#registry;
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    this.#clock = clock;
    const slash = node.lastIndexOf("/");
    const service = slash < 0 ? node : node.slice(0, slash);
    const policies = new Policies(registry, labelValuesMax);
    this.#policies = policies;
    this.#calls = new ClientCalls(registry, policies, labelValuesMax);
    this.#served = new ServedCalls(registry, clock, labelValuesMax, (policy) => policies.rejected(service, policy));
    this.#directories = new Directories(registry, labelValuesMax);
    this.#session = new Session(registry);
    this.#rules = new Rules(registry, labelValuesMax);
    this.#transactions = new Transactions(registry, labelValuesMax);
    this.#phase = new StateSet(gauge(registry, catalogue.nodePhase), "phase", phases);
    this.#phase.none({});
    gauge(registry, catalogue.schedulingLag, (own) => own.set(this.#lagSeconds()));
    gauge(registry, catalogue.target).set({ service_name: service, service_instance_id: node }, 1);
    gauge(registry, catalogue.startTime).set(clock.wallMs() / 1000);
    gauge(registry, catalogue.memory, (own) => own.set(process.memoryUsage.rss()));
    const cpu = counter(registry, catalogue.cpu, () => {
      const { user, system } = process.cpuUsage();
      cpu.reset();
      cpu.inc((user + system) / 1e6);
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  counting(telemetry: Telemetry): Telemetry {
    return {
      emit: (event) => {
        // Whoever takes the event may change it, so it is counted first.
        this.#count(event);
        telemetry.emit(event);
      },
    };
  }

  watched(policies: PolicyTables): PolicyTables {
    const balancers = Object.entries(policies.balancers).map(([name, policy]) => {
      const watching: typeof policy = (ports) => {
        const balancer: Balancer = policy(ports);
        return (endpoints) => {
          this.#directories.weigh(endpoints);
          return balancer(endpoints);
        };
      };
      return [name, watching] as const;
    });
    return {
      ...policies,
      balancers: Object.fromEntries(balancers),
      serverFilters: [this.#served.filter, ...policies.serverFilters],
    };
  }

  #count(event: RuntimeEvent): void {
    switch (event.type) {
      case "call.begin":
        return this.#calls.begin(event);
      case "call.end":
        return this.#calls.end(event);
      case "membership":
        return this.#directories.change(event);
      case "rule":
        return this.#rules.change(event);
      case "registry":
        return this.#session.change(event);
      case "policy":
        return this.#policies.change(event);
      case "node":
        return this.#phase.enter({}, event.phase);
      case "lag":
        this.#lag = event;
        return;
      case "transaction":
        return this.#transactions.change(event);
      case "task.begin":
      case "task.end":
      case "access":
      // Served calls are counted where they are served.
      case "span":
      case "span.export":
      // Traces have a way of their own.
      case "push":
      case "document":
      // Lists are counted as they are believed: `membership`.
      case "clock":
      case "disk":
      // Evidence of what a harness did to the machine.
    }
  }

  /** Reports come once a second where there is something to report: an older one is over. */
  #lagSeconds(): number {
    const lag = this.#lag;
    if (lag === undefined || this.#clock.nowUs() - lag.atUs > 1_500_000) return 0;
    return lag.maxUs / 1e6;
  }
}

/** Known from the first call of a method on, so that a rate sees the first of a kind that comes later. */
const expectedCodes: readonly RpcCode[] = ["OK", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"];

/**
 * The calls that this node makes. For a client everything but OK is an error. A call whose trace is recorded is its bucket's
 * exemplar until the next: from a slow bucket to a trace that shows why.
 */
class ClientCalls {
  readonly #calls: Histogram;
  readonly #attempts: Histogram;
  readonly #inFlight: Gauge;
  readonly #withoutInstance: Counter;
  readonly #policies: Policies;
  readonly #open = new Map<number, CallBegin>();
  readonly #known = new Set<string>();
  readonly #service: Bounded;
  readonly #method: Bounded;
  readonly #instance: Bounded;

  constructor(registry: OpenMetrics, policies: Policies, labelValuesMax: number) {
    this.#policies = policies;
    this.#calls = histogram(registry, catalogue.clientCall);
    this.#attempts = histogram(registry, catalogue.clientAttempt);
    this.#inFlight = gauge(registry, catalogue.clientInFlight);
    this.#withoutInstance = counter(registry, catalogue.withoutInstance);
    this.#service = new Bounded(labelValuesMax);
    this.#method = new Bounded(labelValuesMax);
    this.#instance = new Bounded(labelValuesMax);
  }

  begin(begun: CallBegin): void {
    const { call, service, method } = begun;
    this.#open.set(call, begun);
    const labels = this.#labels(service, method);
    this.#inFlight.inc({ peer_service: labels.peer_service });
    if (!this.#isFirst(labels)) return;
    for (const code of expectedCodes) this.#calls.zero({ ...labels, ...ending(code, code !== "OK") });
    this.#withoutInstance.inc({ peer_service: labels.peer_service }, 0);
  }

  end({ call, atUs, code, attempts, rejectedBy }: CallEnd): void {
    const begun = this.#open.get(call);
    if (begun === undefined) return;
    this.#open.delete(call);
    const labels = this.#labels(begun.service, begun.method);
    this.#inFlight.dec({ peer_service: labels.peer_service });
    const { traceId, spanId } = begun;
    const exemplarLabels = traceId === undefined ? undefined : { trace_id: traceId, span_id: spanId ?? "" };
    const observe = (of: Histogram, to: Readonly<Record<string, string>>, us: number): void =>
      of.observe({ labels: to, value: us / 1e6, ...(exemplarLabels && { exemplarLabels }) });
    observe(this.#calls, { ...labels, ...ending(code, code !== "OK") }, atUs - begun.atUs);
    if (rejectedBy !== undefined) this.#policies.rejected(begun.service, rejectedBy);
    if (attempts.length === 0) this.#withoutInstance.inc({ peer_service: labels.peer_service });
    for (const attempt of attempts) {
      const at = { ...labels, peer_instance: this.#instance.of(attempt.instance) };
      if (this.#isFirst(at)) {
        for (const expected of expectedCodes) this.#attempts.zero({ ...at, ...ending(expected, expected !== "OK") });
      }
      const isOver = attempt.endUs >= 0;
      const how: RpcCode = isOver ? attempt.code : "CANCELLED";
      const tookUs = (isOver ? attempt.endUs : atUs) - attempt.beginUs;
      observe(this.#attempts, { ...at, ...ending(how, how !== "OK") }, tookUs);
    }
  }

  #labels(service: string, method: string): { readonly peer_service: string; readonly rpc_method: string } {
    return { peer_service: this.#service.of(service), rpc_method: this.#method.of(methodName(method)) };
  }

  /** By the labels themselves: what shares `_OTHER` must not begin anew with each newcomer. */
  #isFirst(labels: Readonly<Record<string, string>>): boolean {
    const what = Object.values(labels).join("\n");
    if (this.#known.has(what)) return false;
    this.#known.add(what);
    return true;
  }
}

/** What of a server's answers is the server's fault, by OpenTelemetry's gRPC conventions; the rest is its caller's. */
const serverErrors: ReadonlySet<RpcCode> = new Set<RpcCode>([
  ...(["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"] as const),
]);

/** The calls that this node serves, from when a request was read until its handler is done; a stream, until it is over. */
class ServedCalls {
  readonly filter: Filter;
  readonly #calls: Histogram;
  readonly #inFlight: Gauge;
  readonly #clock: Clock;
  readonly #method: Bounded;
  readonly #known = new Set<string>();

  constructor(registry: OpenMetrics, clock: Clock, labelValuesMax: number, onRejection: (policy: string) => void) {
    this.#calls = histogram(registry, catalogue.serverCall);
    this.#inFlight = gauge(registry, catalogue.serverInFlight);
    this.#inFlight.set(0);
    this.#clock = clock;
    this.#method = new Bounded(labelValuesMax);
    this.filter = async (call, request, next) => {
      const beginUs = clock.nowUs();
      this.#begin(call);
      try {
        const response = await next(call, request);
        if (response.kind === "stream") {
          const messages = observedStream(response.messages, (error) => this.#end(call, beginUs, error?.code), call);
          return { kind: "stream", messages };
        }
        this.#end(call, beginUs);
        return response;
      } catch (thrown) {
        this.#end(call, beginUs, toRpcError(thrown).code);
        if (thrown instanceof Rejection) onRejection(thrown.policy);
        throw thrown;
      }
    };
  }

  #begin(call: Call): void {
    this.#inFlight.inc();
    const method = this.#method.of(methodName(call.method));
    if (this.#known.has(method)) return;
    this.#known.add(method);
    for (const code of expectedCodes) this.#calls.zero(this.#labels(method, code));
  }

  /** Whom nobody waited for any more got that as an answer, whatever the handler did. */
  #end(call: Call, beginUs: number, code: RpcCode = "OK"): void {
    this.#inFlight.dec();
    const method = this.#method.of(methodName(call.method));
    const labels = this.#labels(method, call.reason?.code ?? code);
    this.#calls.observe({ labels, value: (this.#clock.nowUs() - beginUs) / 1e6 });
  }

  #labels(method: string, code: RpcCode): Readonly<Record<string, string>> {
    return { rpc_method: method, ...ending(code, serverErrors.has(code)) };
  }
}

/** Whom this node can call, and how its balancers weigh them. */
class Directories {
  readonly #instances: Gauge;
  readonly #version: Gauge;
  readonly #state: StateSet;
  readonly #removals: Counter;
  readonly #service: Bounded;
  readonly #instance: Bounded;
  /** By service. */
  readonly #members = new Map<string, readonly string[]>();
  /** By instance id: a balancer doesn't know for which service it works. */
  readonly #weights = new Map<string, { readonly weight: number; readonly tag: string }>();

  constructor(registry: OpenMetrics, labelValuesMax: number) {
    this.#instances = gauge(registry, catalogue.directoryInstances);
    this.#version = gauge(registry, catalogue.directoryVersion);
    this.#state = new StateSet(gauge(registry, catalogue.directoryState), "source", sources);
    this.#removals = counter(registry, catalogue.directoryRemovals);
    this.#service = new Bounded(labelValuesMax);
    this.#instance = new Bounded(labelValuesMax);
    gauge(registry, catalogue.instanceWeight, (own) => this.#tellWeights(own));
  }

  change({ service, version, instances, removed, source }: MembershipChange): void {
    const peer_service = this.#service.of(service);
    if (!this.#members.has(service)) {
      for (const reason of removalReasons) this.#removals.inc({ peer_service, reason }, 0);
    }
    this.#members.set(service, instances);
    this.#instances.set({ peer_service }, instances.length);
    this.#version.set({ peer_service }, version);
    this.#state.enter({ peer_service }, source);
    for (const { id, reason } of removed) {
      this.#removals.inc({ peer_service, reason });
      this.#weights.delete(id);
    }
  }

  weigh(endpoints: readonly Endpoint[]): void {
    for (const { id, weight, metadata } of endpoints) {
      this.#weights.set(id, { weight, tag: metadata["dubbo.tag"] ?? "" });
    }
  }

  #tellWeights(own: Gauge): void {
    own.reset();
    for (const [service, members] of this.#members) {
      for (const id of members) {
        const known = this.#weights.get(id);
        if (known === undefined) continue;
        const labels = { peer_service: this.#service.of(service), peer_instance: this.#instance.of(id) };
        own.set({ ...labels, tag: known.tag }, known.weight);
      }
    }
  }
}

/** The session with the registry. */
class Session {
  readonly #state: StateSet;
  readonly #changes: Counter;

  constructor(registry: OpenMetrics) {
    this.#state = new StateSet(gauge(registry, catalogue.registryState), "state", registryStates);
    this.#state.none({});
    this.#changes = counter(registry, catalogue.registryChanges);
    for (const state of registryStates) this.#changes.inc({ state }, 0);
  }

  change({ state }: RegistryStateChange): void {
    this.#state.enter({}, state);
    this.#changes.inc({ state });
  }
}

/** The rule documents that this node follows. */
class Rules {
  readonly #version: Gauge;
  readonly #state: StateSet;
  readonly #changes: Counter;
  readonly #key: Bounded;
  readonly #known = new Set<string>();

  constructor(registry: OpenMetrics, labelValuesMax: number) {
    this.#version = gauge(registry, catalogue.ruleVersion);
    this.#state = new StateSet(gauge(registry, catalogue.ruleState), "outcome", outcomes);
    this.#changes = counter(registry, catalogue.ruleChanges);
    this.#key = new Bounded(labelValuesMax);
  }

  change({ key, version, outcome }: RuleChange): void {
    const rule_key = this.#key.of(key);
    if (!this.#known.has(rule_key)) {
      this.#known.add(rule_key);
      for (const each of outcomes) this.#changes.inc({ rule_key, outcome: each }, 0);
    }
    this.#version.set({ rule_key }, version);
    this.#state.enter({ rule_key }, outcome);
    this.#changes.inc({ rule_key, outcome });
  }
}

const breakerStates: readonly string[] = ["closed", "open", "half-open"];

/** What breakers, limits and their like came to. */
class Policies {
  readonly #breaker: StateSet;
  readonly #ejected: Gauge;
  readonly #limit: Gauge;
  readonly #changes: Counter;
  readonly #rejections: Counter;
  readonly #service: Bounded;
  readonly #instance: Bounded;
  readonly #policy: Bounded;

  constructor(registry: OpenMetrics, labelValuesMax: number) {
    this.#breaker = new StateSet(gauge(registry, catalogue.breakerState), "state", breakerStates);
    this.#ejected = gauge(registry, catalogue.instanceEjected);
    this.#limit = gauge(registry, catalogue.concurrencyLimit);
    this.#changes = counter(registry, catalogue.policyChanges);
    this.#rejections = counter(registry, catalogue.rejections);
    this.#service = new Bounded(labelValuesMax);
    this.#instance = new Bounded(labelValuesMax);
    this.#policy = new Bounded(labelValuesMax);
  }

  change({ policy, service, instance, state, value }: PolicyChange): void {
    const peer_service = this.#service.of(service);
    this.#changes.inc({ policy: this.#policy.of(policy), peer_service, state });
    const whom =
      instance === undefined ? { peer_service } : { peer_service, peer_instance: this.#instance.of(instance) };
    if (policy === "breaker") this.#breaker.enter(whom, state);
    else if (policy === "outlier") this.#ejected.set(whom, state === "ejected" ? 1 : 0);
    else if (policy === "concurrency-limit" && value !== undefined) this.#limit.set({ peer_service }, value);
    // A policy that reports will turn calls away: a rate sees the first of them.
    this.#rejections.inc({ peer_service, policy: this.#policy.of(policy) }, 0);
  }

  rejected(service: string, policy: string): void {
    this.#rejections.inc({ peer_service: this.#service.of(service), policy: this.#policy.of(policy) });
  }
}

/** Distributed transactions: those that this node began, its branches, and as a coordinator their states. */
class Transactions {
  readonly #durations: Histogram;
  readonly #retries: Counter;
  readonly #branches: Counter;
  readonly #conflicts: Counter;
  readonly #states: Counter;
  readonly #resource: Bounded;
  readonly #open = new Map<string, number>();
  readonly #known = new Set<string>();

  constructor(registry: OpenMetrics, labelValuesMax: number) {
    this.#durations = histogram(registry, catalogue.transactionDuration);
    this.#retries = counter(registry, catalogue.transactionRetries);
    this.#branches = counter(registry, catalogue.branches);
    this.#conflicts = counter(registry, catalogue.lockConflicts);
    this.#states = counter(registry, catalogue.transactionStates);
    this.#resource = new Bounded(labelValuesMax);
    gauge(registry, catalogue.transactionsInFlight, (own) => own.set(this.#open.size));
  }

  change(event: TransactionChange): void {
    switch (event.what) {
      case "begin":
        this.#open.set(event.xid, event.atUs);
        return this.#expect("begin", () => {
          for (const outcome of expectedOutcomes) this.#durations.zero({ outcome });
          for (const decision of decisions) this.#retries.inc({ decision }, 0);
        });
      case "end": {
        const beganUs = this.#open.get(event.xid);
        if (beganUs === undefined) return;
        this.#open.delete(event.xid);
        return this.#durations.observe({ labels: { outcome: event.status }, value: (event.atUs - beganUs) / 1e6 });
      }
      case "retry":
        return this.#retries.inc({ decision: event.decision });
      case "branch": {
        const labels = { mode: event.branchType, resource: this.#resource.of(event.resource) };
        this.#expect(`branch ${labels.mode} ${labels.resource}`, () => {
          for (const outcome of expectedSteps) this.#branches.inc({ ...labels, outcome }, 0);
          this.#conflicts.inc({ resource: labels.resource }, 0);
        });
        return this.#branches.inc({ ...labels, outcome: event.status });
      }
      case "conflict":
        return this.#conflicts.inc({ resource: this.#resource.of(event.resource) });
      case "status":
        return this.#states.inc({ state: event.status });
      case "step":
      case "saga":
      case "repair":
      case "holding":
      case "doubt":
      case "look":
      case "found":
      case "audit":
      // For the judge: how much there is of what isn't a rate.
    }
  }

  /** What may come is known as 0 from the first of its kind on. */
  #expect(what: string, zero: () => void): void {
    if (this.#known.has(what)) return;
    this.#known.add(what);
    zero();
  }
}

const decisions: readonly Decision[] = ["commit", "rollback"];
const expectedOutcomes: readonly GlobalStatus[] = ["Committed", "Rollbacked", "CommitRetrying", "RollbackRetrying"];
const expectedSteps: readonly BranchStatus[] = [
  "Registered",
  ...decisions.flatMap((decision) => [finished[decision], retryable[decision]]),
];

const phases: readonly NodePhaseChange["phase"][] = ["listening", "ready", "deregistered", "draining", "stopped"];
const registryStates: readonly RegistryStateChange["state"][] = ["connected", "suspended", "expired", "closed"];
const outcomes: readonly RuleChange["outcome"][] = ["applied", "removed", "rejected"];
const sources: readonly MembershipChange["source"][] = ["registry", "cache", "protected", "expired-protection"];
type RemovalReason = MembershipChange["removed"][number]["reason"];
/** A table, so that none can be forgotten. */
const removalReasons = Object.keys({
  deregistered: true,
  expired: true,
  gone: true,
  unknown: true,
} satisfies Record<RemovalReason, true>);

/** "flyball.worker.v1.Worker/Do", as OpenTelemetry writes a method. */
const methodName = (path: string): string => (path.startsWith("/") ? path.slice(1) : path);

/** Labels of an outcome; `error_type` is there for errors only. */
const ending = (code: RpcCode, isError: boolean): Readonly<Record<string, string>> =>
  isError ? { rpc_status_code: code, error_type: code } : { rpc_status_code: code };

/** A label's values: so many different ones, and then `_OTHER`. */
class Bounded {
  readonly #max: number;
  readonly #seen = new Set<string>();

  constructor(max: number) {
    this.#max = max;
  }

  of(value: string): string {
    if (this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#max) return other;
    this.#seen.add(value);
    return value;
  }
}

/** A gauge that is 1 at one of several states and 0 at the others. */
class StateSet {
  readonly #gauge: Gauge;
  readonly #label: string;
  readonly #states: readonly string[];

  constructor(own: Gauge, label: string, states: readonly string[]) {
    this.#gauge = own;
    this.#label = label;
    this.#states = states;
  }

  none(labels: Readonly<Record<string, string>>): void {
    this.enter(labels, undefined);
  }

  enter(labels: Readonly<Record<string, string>>, now: string | undefined): void {
    for (const state of this.#states) this.#gauge.set({ ...labels, [this.#label]: state }, state === now ? 1 : 0);
  }
}

function options(registry: OpenMetrics, { name, help, labels }: MetricSpec) {
  return { name, help, labelNames: labels, registers: [registry] };
}

const histogram = (registry: OpenMetrics, spec: MetricSpec): Histogram =>
  new Histogram({ ...options(registry, spec), buckets: durationBuckets, enableExemplars: true });

function counter(registry: OpenMetrics, spec: MetricSpec, collect?: () => void): Counter {
  return new Counter({ ...options(registry, spec), ...(collect && { collect }) });
}

function gauge(registry: OpenMetrics, spec: MetricSpec, collect?: (own: Gauge) => void): Gauge {
  return new Gauge({
    ...options(registry, spec),
    ...(collect && {
      collect() {
        collect(this);
      },
    }),
  });
}
