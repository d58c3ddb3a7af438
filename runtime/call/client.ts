import type { DescService } from "@bufbuild/protobuf";

import { hashedFields, keyOf } from "../balancing/hash-key.ts";
import { balancerNamed, balancers as builtInBalancers } from "../balancing/table.ts";
import type { Balancer, BalancerPolicy, BalancerSettings, Picker } from "../balancing/balancer.ts";
import { warmedUp } from "../balancing/warm-up.ts";
import type { Cluster, ClusterPolicy } from "../cluster/cluster.ts";
import { clusterOf, contradictionIn, withOwnZone, withRetries, type ClusterSettings } from "../cluster/settings.ts";
import { streaming } from "../cluster/streaming.ts";
import { clusters as builtInClusters } from "../cluster/table.ts";
import type { CodecFamily } from "../codec/codec.ts";
import { applyOverrides, overridePolicy, type CallerOverrides, type OverrideRule } from "../configuration/override.ts";
import { watchRule, type WatchedRule } from "../configuration/rules.ts";
import { Directory, type DirectoryOptions } from "../discovery/directory.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { Protection } from "../protection/protection.ts";
import { admissions as builtInAdmissions, guards as builtInGuards } from "../protection/table.ts";
import type { AdmissionTable, GuardTable, ProtectionSettings } from "../protection/table.ts";
import type { Clock } from "../ports/clock.ts";
import type { ConfigCenter } from "../ports/config-center.ts";
import type { Disk } from "../ports/disk.ts";
import type { Random } from "../ports/random.ts";
import type { Registry } from "../ports/registry.ts";
import { silent, type Telemetry } from "../ports/telemetry.ts";
import type { Response, Transport } from "../ports/transport.ts";
import { protocolNames, protocolOf } from "../protocols/names.ts";
import type { RetryBudget, RetryBudgetPolicy, RetryBudgetSettings } from "../protection/retry-budget/retry-budget.ts";
import { retryBudgets as builtInRetryBudgets } from "../protection/retry-budget/table.ts";
import { chainRoutes, subsetsMax } from "../routing/chain.ts";
import type { Route, RouterPolicy, RouteTarget } from "../routing/router.ts";
import { routers as builtInRouters } from "../routing/table.ts";
import { guard } from "../security/guard.ts";
import { attachmentsOf, type Credentials } from "../security/signature.ts";
import { CallLog } from "../telemetry/call-log.ts";
import type { Tracer } from "../telemetry/tracer.ts";
import { whileWaiting, type Call } from "./call.ts";
import { chain, type Filter, type Next } from "./filter.ts";
import { LogicalCall, type CallChannel } from "./logical-call.ts";
import { RequestStream } from "./request-stream.ts";
import { methodsOf, takesStream, type Method, type Stub, type StubOptions } from "./service.ts";
import { RpcError, toRpcError } from "./status.ts";
import { observedStream } from "./stream.ts";

/** The policies that a client knows, by name. An extension is a new entry; a test's sabotage is a replaced one. */
export interface PolicyTables {
  readonly balancers: Readonly<Record<string, BalancerPolicy>>;
  readonly clusters: Readonly<Record<string, ClusterPolicy>>;
  readonly retryBudgets: Readonly<Record<string, RetryBudgetPolicy>>;
  /** Every router takes part, in this order. */
  readonly routers: Readonly<Record<string, RouterPolicy>>;
  /** What watches a client's attempts, by the settings that ask for it. */
  readonly guards: GuardTable;
  /** What a server lets in, by the settings that ask for it. */
  readonly admissions: AdmissionTable;
  /** How a server finds out who calls, and whether he may. */
  readonly authentication: typeof guard;
  /** Around every call, the first outermost. */
  readonly clientFilters: readonly Filter[];
  readonly serverFilters: readonly Filter[];
}

export const builtInPolicies: PolicyTables = {
  balancers: builtInBalancers,
  clusters: builtInClusters,
  retryBudgets: builtInRetryBudgets,
  routers: builtInRouters,
  guards: builtInGuards,
  admissions: builtInAdmissions,
  authentication: guard,
  clientFilters: [],
  serverFilters: [],
};

export interface ClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** For instances that speak another protocol than Triple, by its name in the registry. Without them `transport` carries all. */
  readonly transports?: Readonly<Record<string, Transport>> | undefined;
  readonly registry: Registry;
  /** Without one there are no rules. */
  readonly configCenter?: ConfigCenter | undefined;
  /** Keeps the last known instances across restarts. Without one the cache is in memory only. */
  readonly disk?: Disk | undefined;
  readonly telemetry?: Telemetry | undefined;
  /** Shared by all clients of a node, so that call ids are unique in it. */
  readonly calls?: CallLog | undefined;
  /** Without one there are no spans, and what a caller sent of a trace goes no further than `metadata` takes it. */
  readonly tracer?: Tracer | undefined;
  readonly policies?: PolicyTables | undefined;
  /** This client's own application name: application-level rules are found by it. */
  readonly application: string;
  /** What this client says of itself to rules: zone, region, env, … Default none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** The host that it calls from, where it is known. */
  readonly host?: string | undefined;
}

/** How a client calls one service. What its strategy reads stands in `ClusterSettings`. */
export interface ServiceSettings extends ClusterSettings, ProtectionSettings, BalancerSettings {
  /** Time for a logical call with all its attempts, in milliseconds. Default 1000 (Dubbo's). */
  readonly timeoutMs?: number | undefined;
  /** The same for single methods, by name ("Do") or path ("/flyball.worker.v1.Worker/Do"). Default: as all. */
  readonly methodTimeoutsMs?: Readonly<Record<string, number>> | undefined;
  /**
   * A call that is made while another is served ends so much before that one's deadline, in milliseconds, so that there is time left
   * to answer: for the way back, and for a fallback. Default 0.
   */
  readonly deadlineMarginMs?: number | undefined;
  /** Time for each attempt, in milliseconds. Default: as long as the call has left. */
  readonly attemptTimeoutMs?: number | undefined;
  /** An entry of the table of clusters. Default "failover"; "hedging" where `hedging` is set. */
  readonly cluster?: string | undefined;
  /** What this client may spend on retries. Default: as much as it likes (Dubbo's). */
  readonly retryBudget?: RetryBudgetSettings | undefined;
  /** An entry of the table of balancers, or Dubbo's name of one. Default "weighted-random". */
  readonly balancer?: string | undefined;
  readonly codecs?: CodecFamily | undefined;
  /** Every attempt is signed with them. Default: none is. */
  readonly credentials?: Credentials | undefined;
  readonly directory?: DirectoryOptions | undefined;
}

/** Calls services by name, governed: discovered, routed, balanced, retried. */
export interface Client {
  /** The stub of a service; the same name answers the same directory and statistics. */
  service<S extends DescService>(name: string, schema: S, settings?: ServiceSettings): Stub<S>;
  /** Resolves when at least one instance of the service is known, or rejects with an `RpcError` UNAVAILABLE after `timeoutMs`. */
  ready(name: string, timeoutMs: number): Promise<void>;
  close(): void;
}

export function createClient(options: ClientOptions): Client {
  const channels = new Map<string, ServiceChannel>();
  const { clock, telemetry = silent } = options;
  // One for all services, so that call ids are unique in the client.
  const ports = { ...options, calls: options.calls ?? new CallLog({ clock, telemetry }) };
  return {
    service: (name, schema, settings = {}) => {
      let channel = channels.get(name);
      if (channel === undefined)
        channels.set(
          name,
          (channel = new ServiceChannel({ service: name, interfaceName: schema.typeName }, ports, settings)),
        );
      return stubOf(schema, channel, settings.codecs);
    },
    ready: async (name, timeoutMs) => {
      const channel = channels.get(name);
      if (channel === undefined) throw new Error(`service("${name}", …) comes before ready("${name}")`);
      await channel.ready(timeoutMs);
    },
    close: () => {
      for (const channel of channels.values()) channel.close();
    },
  };
}

const nothing: readonly (readonly [string, string])[] = [];

/** What carries a stub's calls: a governed service, or one address. */
export interface Channel {
  /** `init` becomes the request. Answers the reply, or the stream of replies; rejects with an `RpcError`. */
  start(method: Method<unknown, unknown>, init: unknown, options: StubOptions): Promise<unknown>;
}

/** Typed functions over a channel. */
export function stubOf<S extends DescService>(schema: S, channel: Channel, codecs?: CodecFamily): Stub<S> {
  const stub: Record<string, unknown> = {};
  for (const [name, method] of methodsOf(schema, codecs)) {
    stub[name] = (init: unknown, options: StubOptions = {}) => channel.start(method, init, options);
  }
  return stub as Stub<S>;
}

interface Snapshot {
  readonly endpoints: readonly Endpoint[];
  /** When one that warms up has another weight; Infinity when all are warm. */
  readonly untilUs: number;
  /** What the rules change of the settings. */
  readonly overrides: CallerOverrides;
  readonly balancer: Balancer;
  /** How each method is called, by its path; worked out when it first is. */
  readonly methods: Map<string, MethodSettings>;
  readonly route: Route;
  readonly pickers: Map<readonly Endpoint[], Picker>;
  /** Of a subset, those that no guard avoids. */
  readonly available: Map<readonly Endpoint[], readonly Endpoint[]>;
}

/** How a method is called, after overrides. */
interface MethodSettings {
  readonly timeoutUs: number;
  readonly cluster: Cluster;
}

/** The way to one service: its directory, its rules, its policies. */
class ServiceChannel implements Channel, CallChannel {
  readonly service: string;
  readonly clock: Clock;
  readonly #transport: Transport;
  readonly #transports: ClientOptions["transports"];
  readonly attemptTimeoutUs: number | undefined;
  readonly deadlineMarginUs: number;
  readonly protection: Protection | undefined;
  readonly #settings: ServiceSettings;
  readonly #calls: CallLog;
  readonly #tracer: Tracer | undefined;
  readonly #directory: Directory;
  readonly #rules: WatchedRule<unknown>[] = [];
  readonly #overrides: WatchedRule<OverrideRule>[] = [];
  readonly #routers: { readonly policy: RouterPolicy; readonly rules: readonly WatchedRule<unknown>[] }[] = [];
  /** Made when the settings or a rule first name them; what they remember stays while another one works. */
  readonly #balancers: (name: string) => Balancer;
  readonly #clusters: (name: string, retries: number | undefined) => Cluster;
  /** Those that were made. */
  readonly #ownClusters: Cluster[] = [];
  readonly #budget: RetryBudget;
  /** This client's own: see `RouteContext`. */
  readonly #seed: number;
  readonly #target: RouteTarget;
  readonly #invoke: Next;
  /** Rebuilt on demand after the instances, a rule or a weight that warms up changed. */
  #snapshot: Snapshot | undefined;
  #stickyKey: string | undefined;
  /** The fields of a request that hashing goes by, where the settings name some. */
  readonly #hashedFields: readonly string[] | undefined;

  constructor(
    callee: Pick<RouteTarget, "service" | "interfaceName">,
    options: ClientOptions & { readonly calls: CallLog },
    settings: ServiceSettings,
  ) {
    const { clock, random, transport, configCenter, application, host, labels = {} } = options;
    const { service } = callee;
    const telemetry = options.telemetry ?? silent;
    const policies = options.policies ?? builtInPolicies;
    this.service = service;
    this.#target = { ...callee, application, host, labels };
    this.clock = clock;
    this.#transport = transport;
    this.#transports = options.transports;
    this.#settings = settings;
    this.#hashedFields = hashedFields(settings.hash);
    this.deadlineMarginUs = (settings.deadlineMarginMs ?? 0) * 1000;
    this.attemptTimeoutUs = settings.attemptTimeoutMs === undefined ? undefined : settings.attemptTimeoutMs * 1000;
    this.#calls = options.calls;
    this.#tracer = options.tracer;

    const own = random.fork(`call ${service}`);
    this.#balancers = kept((name) => {
      const label = name === this.#balancerName() ? "balancer" : `balancer ${name}`;
      return entry(policies.balancers, "balancer", name)({ random: own.fork(label) }, settings);
    });
    this.#seed = own.fork("routers").uint32();
    const contradiction = contradictionIn(settings);
    if (contradiction !== undefined) {
      const { message, hint } = contradiction;
      throw new RpcError(`settings of ${service}: ${message}`, { code: "INVALID_ARGUMENT", hint });
    }
    const { retryBudget = { policy: "unlimited" } } = settings;
    this.#budget = entry(policies.retryBudgets, "retry budget", retryBudget.policy)(retryBudget, { clock });
    this.#clusters = kept((name, retries) => {
      const isOwn = name === clusterOf(settings) && retries === settings.retries;
      const cluster = entry(
        policies.clusters,
        "cluster",
        name,
      )(isOwn ? withOwnZone(settings, labels) : withRetries(withOwnZone(settings, labels), retries), {
        clock,
        random: own.fork(isOwn ? "cluster" : `cluster ${name} ${retries}`),
        budget: this.#budget,
        report: (change) => telemetry.emit({ type: "policy", atUs: clock.nowUs(), service, ...change }),
      });
      this.#ownClusters.push(cluster);
      return cluster;
    });
    // A name that doesn't exist is told now, and not by the first call.
    this.#balancers(this.#balancerName());
    this.#clusters(clusterOf(settings), settings.retries);
    this.#invoke = chain(policies.clientFilters, (call, request) => {
      const logical = call as LogicalCall;
      const { requests, redelivery } = logical;
      const cluster = requests === undefined ? this.#methodSettings(call.method).cluster : streaming(requests);
      return (redelivery ?? cluster)(logical.attempts(request));
    });

    this.protection = Protection.of(settings, policies.guards, {
      clock,
      random: own.fork("protection"),
      transport,
      telemetry,
      service,
      onChange: () => this.#guardsChanged(),
    });

    const outdated = (): void => {
      this.#snapshot = undefined;
    };
    this.#directory = new Directory({
      ...options,
      telemetry,
      service,
      options: settings.directory ?? {},
      onChange: (endpoints) => {
        outdated();
        this.protection?.update(endpoints);
      },
      onGone: ({ address }) => {
        for (const one of [transport, ...Object.values(this.#transports ?? {})]) one.release(address);
      },
    });
    const target = this.#target;
    if (configCenter !== undefined) {
      const ports = { configCenter, telemetry, clock };
      const overrides = overridePolicy(policies);
      for (const key of overrides.keys(target)) this.#overrides.push(watchRule(overrides, key, ports, outdated));
      this.#rules.push(...this.#overrides);
      for (const policy of Object.values(policies.routers)) {
        const rules = policy.keys(target).map((key) => watchRule(policy, key, ports, outdated));
        this.#rules.push(...rules);
        this.#routers.push({ policy, rules });
      }
    }
  }

  async ready(timeoutMs: number): Promise<void> {
    await this.#directory.ready(timeoutMs * 1000);
    // A config centre that is away must not keep a consumer from its work: it goes on without rules.
    let cancel = (): void => undefined;
    const patience = new Promise<void>((resolve) => {
      cancel = this.clock.after(timeoutMs * 1000, resolve);
    });
    await Promise.race([Promise.all(this.#rules.map((rule) => rule.known)), patience]);
    cancel();
  }

  start(method: Method<unknown, unknown>, init: unknown, options: StubOptions): Promise<unknown> {
    try {
      const request = takesStream(method)
        ? new RequestStream(init, method.input, method.path)
        : method.input.create(init);
      const { timeoutUs } = this.#methodSettings(method.path);
      const call = new LogicalCall(this, method, { ...options, request }, this.#calls.next(), timeoutUs);
      return this.#perform(call, options.dueUs);
    } catch (error) {
      return Promise.reject(toRpcError(error));
    }
  }

  /** A call's request once more, as a call of its own: see `Attempts.again`. */
  again(call: LogicalCall, run: Cluster): Promise<unknown> {
    const { rpc, metadata, request } = call;
    const { timeoutUs } = this.#methodSettings(rpc.path);
    const repeated = new LogicalCall(this, rpc, { metadata, request }, this.#calls.next(), timeoutUs);
    repeated.redelivery = run;
    repeated.redelivers = call.redelivers ?? call.id;
    return this.#perform(repeated);
  }

  #perform(call: LogicalCall, dueUs?: number): Promise<unknown> {
    // The snapshot that the call's settings came from knows the sticky key that the rules name now.
    const key = this.#keyOf(call);
    call.span = this.#tracer?.call(call);
    this.#calls.begin(call, { dueUs, key, redelivers: call.redelivers, trace: call.span?.context });
    this.#budget.began();
    let response: Promise<Response>;
    try {
      response = whileWaiting(call, this.#invoke(call, call.requests ?? call.request));
    } catch (thrown) {
      // A filter or a router that breaks ends the call as one that rejects does.
      response = Promise.reject(toRpcError(thrown));
    }
    return response.then(
      (response) => this.#answered(call, response),
      (thrown: unknown) => this.#failed(call, thrown),
    );
  }

  /** What a call is kept at one place by: a rule's key, else the key of hashing. */
  #keyOf(call: LogicalCall): string | undefined {
    const key = this.#stickyKey === undefined ? undefined : call.metadata.get(this.#stickyKey);
    return key ?? (this.#hashedFields === undefined ? undefined : keyOf(call, this.#hashedFields));
  }

  #answered(call: LogicalCall, response: Response): unknown {
    if (response.kind === "stream") {
      return observedStream(response.messages, (error) => this.#ended(call, error), call);
    }
    this.#ended(call);
    return response.message;
  }

  #failed(call: LogicalCall, thrown: unknown): unknown {
    const error = toRpcError(thrown);
    const { atDeadline } = call;
    if (atDeadline !== undefined && call.reason?.code === "DEADLINE_EXCEEDED") {
      this.#ended(call);
      return atDeadline.kind === "stream" ? atDeadline.messages : atDeadline.message;
    }
    this.#ended(call, error);
    throw error;
  }

  /** The live picture: instances with their weights, the route through the rules, and a picker for each subset met so far. */
  snapshot(): Snapshot {
    const known = this.#snapshot;
    if (known !== undefined && (known.untilUs === Infinity || this.clock.nowUs() < known.untilUs)) return known;
    const { endpoints: overridden, caller: overrides } = applyOverrides(
      this.#directory.endpoints,
      this.#overrides.flatMap(({ current }) => current ?? []),
      this.#target,
    );
    const { endpoints, forMs } = warmedUp(overridden, this.clock.wallMs());
    const compiled = this.#routers.map(({ policy, rules }) => ({
      policy,
      rules: rules.map((rule) => rule.current).filter((rule) => rule !== undefined),
    }));
    this.#stickyKey = compiled
      .flatMap(({ policy, rules }) => rules.map((rule) => policy.stickyKey?.(rule)))
      .find((key) => key !== undefined);
    const client = { seed: this.#seed, target: this.#target };
    const balancer = this.#balancers(overrides.balancer ?? this.#balancerName());
    const route = chainRoutes(compiled, endpoints, client);
    this.#snapshot = {
      endpoints,
      untilUs: forMs === Infinity ? Infinity : this.clock.nowUs() + forMs * 1000,
      overrides,
      balancer,
      methods: new Map(),
      route,
      pickers: new Map(),
      available: new Map(),
    };
    return this.#snapshot;
  }

  #guardsChanged(): void {
    // What balancers remember belongs to the instances, not to the pickers.
    this.#snapshot?.available.clear();
    this.#snapshot?.pickers.clear();
  }

  /** Those that the rules leave for a call and no guard avoids; the same array while nothing changes. */
  candidates(call: Call): readonly Endpoint[] {
    if (this.protection?.closed() !== undefined) return nobody;
    const { route, available } = this.snapshot();
    const routed = route(call);
    if (this.protection === undefined) return routed;
    let left = available.get(routed);
    if (left === undefined) available.set(routed, (left = this.protection.available(routed)));
    return left;
  }

  pick(call: Call, tried: readonly Endpoint[], candidates = this.candidates(call)): Endpoint | undefined {
    const snapshot = this.snapshot();
    if (tried.length > 0) {
      const untried = candidates.filter((endpoint) => !tried.some(({ key }) => key === endpoint.key));
      const another = untried.length > 0 ? snapshot.balancer(untried).pick(call) : undefined;
      // Those that are left may all have weight 0: then one of the tried ones it is.
      if (another !== undefined) return another;
    }
    let picker = snapshot.pickers.get(candidates);
    if (picker === undefined) {
      if (snapshot.pickers.size >= subsetsMax) snapshot.pickers.clear();
      snapshot.pickers.set(candidates, (picker = snapshot.balancer(candidates)));
    }
    return picker.pick(call);
  }

  attachments(path: string): readonly (readonly [string, string])[] {
    const { credentials } = this.#settings;
    const { carries = nothing } = this.snapshot().balancer;
    if (credentials === undefined) return carries;
    const { service, clock } = this;
    const signature = attachmentsOf(
      { path, service, timestampMs: clock.wallMs() },
      credentials,
      this.#target.application,
    );
    return [...carries, ...signature];
  }

  /** In the protocol that the instance speaks. */
  invoke(
    { address, id, metadata }: Endpoint,
    rpc: Method<unknown, unknown>,
    call: Call,
    request: unknown,
  ): Promise<Response> {
    const protocol = protocolOf({ metadata });
    if (this.#transports === undefined || protocol === protocolNames.triple) {
      return this.#transport.invoke(address, rpc, call, request);
    }
    if (Object.hasOwn(this.#transports, protocol)) {
      return this.#transports[protocol]!.invoke(address, rpc, call, request);
    }
    const hint = `there is ${[protocolNames.triple, ...Object.keys(this.#transports)].join(", ")}`;
    return Promise.reject(new RpcError(`${id} speaks ${protocol}`, { code: "UNIMPLEMENTED", hint }));
  }

  #methodSettings(path: string): MethodSettings {
    const { methods, overrides } = this.snapshot();
    let settings = methods.get(path);
    if (settings === undefined) {
      const method = overrides.methods?.get(path.slice(path.lastIndexOf("/") + 1));
      const timeoutMs = method?.timeoutMs ?? overrides.timeoutMs ?? this.#timeoutMs(path);
      const retries = method?.retries ?? overrides.retries ?? this.#settings.retries;
      const cluster = this.#clusters(overrides.cluster ?? clusterOf(this.#settings), retries);
      methods.set(path, (settings = { timeoutUs: timeoutMs * 1000, cluster }));
    }
    return settings;
  }

  #timeoutMs(path: string): number {
    const { methodTimeoutsMs: own, timeoutMs = 1000 } = this.#settings;
    return own?.[path] ?? own?.[path.slice(path.lastIndexOf("/") + 1)] ?? timeoutMs;
  }

  #balancerName(): string {
    return balancerNamed(this.#settings.balancer ?? "weighted-random");
  }

  noInstance(call: Call): RpcError {
    const known = this.#directory.endpoints.length;
    const routed = this.snapshot().route(call);
    const left = routed.length;
    if (known === 0)
      return new RpcError(`no instance of ${this.service} is known`, {
        code: "UNAVAILABLE",
        hint: "is a provider running, and registered at the same registry?",
      });
    const kept = this.protection?.closed() ?? this.protection?.allAvoided(routed);
    if (kept !== undefined) return kept;
    return new RpcError(
      left === 0
        ? `the rules leave none of ${known} instances of ${this.service} for this call`
        : `all ${left} instances of ${this.service} have weight 0`,
      { code: "UNAVAILABLE", hint: "look at the rule documents of this service" },
    );
  }

  close(): void {
    for (const cluster of this.#ownClusters) cluster.close?.();
    this.#directory.close();
    this.protection?.close();
    for (const rule of this.#rules) rule.close();
  }

  #ended(call: LogicalCall, error?: RpcError): void {
    void call.requests?.return();
    call.end();
    this.#budget.ended();
    this.#calls.end(call, call.records, error);
    call.span?.end(error);
  }
}

const nobody: readonly Endpoint[] = [];

/** Makes each thing once, by what it is made of. */
function kept<Key extends readonly unknown[], T>(make: (...key: Key) => T): (...key: Key) => T {
  const made = new Map<string, T>();
  return (...key) => {
    const name = JSON.stringify(key);
    let one = made.get(name);
    if (one === undefined) made.set(name, (one = make(...key)));
    return one;
  };
}

function entry<T>(table: Readonly<Record<string, T>>, kind: string, name: string): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found === undefined) {
    throw new RpcError(`there is no ${kind} "${name}"`, {
      code: "INVALID_ARGUMENT",
      hint: `one of: ${Object.keys(table).join(", ")}`,
    });
  }
  return found;
}
