import { create } from "@bufbuild/protobuf";

import type { PolicyTables } from "../../runtime/call/client.ts";
import { Call } from "../../runtime/call/call.ts";
import type { Filter } from "../../runtime/call/filter.ts";
import { RpcError, type RpcErrorOptions } from "../../runtime/call/status.ts";
import { Rejection } from "../../runtime/protection/outcome.ts";
import { requestTag } from "../../runtime/call/travelling.ts";
import { mix, murmur3 } from "../../runtime/numbers.ts";
import type { Balancer } from "../../runtime/balancing/balancer.ts";
import { keyOf, keyPaths } from "../../runtime/balancing/hash-key.ts";
import type { RuntimeEvent } from "../../runtime/telemetry/events.ts";
import type { Endpoint } from "../../runtime/discovery/endpoint.ts";
import type { Cluster } from "../../runtime/cluster/cluster.ts";
import type { Random } from "../../runtime/ports/random.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { RemovalSchema, type ServiceSnapshot as WireSnapshot } from "../../runtime/discovery/proto/registry_pb.ts";
import { DataSourceError, type LocalTransaction, type Row, type Table } from "../../runtime/ports/data-source.ts";
import { noMetadata } from "../../runtime/call/metadata.ts";
import type { Response, ServedMethod, Transport } from "../../runtime/ports/transport.ts";
import { requestTable } from "../../services/bank/at.ts";
import { holdTable } from "../../services/bank/outside.ts";
import { TakeReplySchema, type ReserveRequest, type TakeRequest } from "../../services/proto/bank_pb.ts";
import { DoReplySchema } from "../../services/proto/worker_pb.ts";
import { createRandom } from "../../runtime/random.ts";
import { alteredLocal } from "../../runtime/transactions/altered-local.ts";
import { itemsIn, undoRow, undoStatus, undoTable, type UndoItem } from "../../runtime/transactions/at/undo-log.ts";
import { withXid } from "../../runtime/transactions/xid.ts";
import {
  LockQueryReplySchema,
  RegisterBranchReplySchema,
  type PhaseTwo,
  type RegisterBranchReply,
} from "../../runtime/transactions/proto/coordinator_pb.ts";
import { parseLockKey, type RowLock } from "../../runtime/transactions/lock-key.ts";
import { sagaTable } from "../../runtime/transactions/saga/log.ts";
import { openRowStore } from "../../runtime/transactions/row-store.ts";
import { fenceStatus, fenceTable } from "../../runtime/transactions/tcc/fence.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";

/**
 * Defects to plant into a simulated fleet. Each replaces a policy entry or a port of some nodes and nothing else, so that a run
 * with one goes the same way as every other run, and must fail exactly the check that it is aimed at.
 */

/** Two defects for one check of one scenario: a gross one, and one at exactly what the check says it detects. */
export interface SabotagedCheck {
  /** The check's kind and, where a scenario has several of a kind, its window: "share 0s..4s". */
  readonly check: string;
  readonly gross: (seed: number) => Sabotage;
  readonly mild: (seed: number) => Sabotage;
  /** Checks that may see the same, and fail with it, or have too few trials left because of it. */
  readonly alongWith?: readonly string[];
  /** Defects as users have reported them, by the report: each fails the check always, and may fail others with it. */
  readonly reported?: Readonly<Record<string, (seed: number) => Sabotage>>;
  /** Other defects that the check sees, by what they are: likewise. */
  readonly more?: Readonly<Record<string, (seed: number) => Sabotage>>;
}

export const second = 1_000_000;

/** A part of the load's time; outside of it the defect sleeps. */
export interface When {
  readonly fromUs?: number;
  readonly toUs?: number;
}

/** Knows where on the fleet's clock the load began. */
class LoadTime {
  #originUs: number | undefined;
  readonly #when: When;

  constructor(when: When) {
    this.#when = when;
  }

  readonly onLoad = (originUs: number): void => {
    this.#originUs = originUs;
  };

  /** Microseconds until the part begins, 0 when it has. */
  untilUs(nowUs: number): number {
    if (this.#originUs === undefined) return 0;
    return Math.max(0, this.#originUs + (this.#when.fromUs ?? 0) - nowUs);
  }

  isNow(nowUs: number): boolean {
    if (this.#originUs === undefined) return false;
    const atUs = nowUs - this.#originUs;
    return atUs >= (this.#when.fromUs ?? 0) && atUs < (this.#when.toUs ?? Infinity);
  }
}

const seeded = (seed: number, node: string): Random => createRandom(seed).fork(`sabotage ${node}`);

/** A filter around every call of one service. */
function filtering(
  seed: number,
  service: string,
  when: When,
  make: (random: Random, isNow: (nowUs: number) => boolean) => Filter,
): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      const filter = make(seeded(seed, node), (nowUs) => time.isNow(nowUs));
      const own: Filter = (call, request, next) =>
        call.service === service ? filter(call, request, next) : next(call, request);
      return { ...policies, clientFilters: [own, ...policies.clientFilters] };
    },
  };
}

/** This share of the calls fails at once. */
export const failingCalls = (
  seed: number,
  service: string,
  probability: number,
  when: When = {},
  code: RpcErrorOptions["code"] = "UNAVAILABLE",
): Sabotage =>
  filtering(seed, service, when, (random, isNow) => (call, request, next) => {
    if (isNow(call.clock.nowUs()) && random.float() < probability) {
      return Promise.reject(new RpcError("sabotage", { code }));
    }
    return next(call, request);
  });

/** This share of the calls takes `delayUs` longer. */
export const slowCalls = (
  seed: number,
  service: string,
  delayUs: number,
  probability: number,
  when: When = {},
): Sabotage =>
  filtering(seed, service, when, (random, isNow) => async (call, request, next) => {
    if (isNow(call.clock.nowUs()) && random.float() < probability) await call.clock.sleep(delayUs);
    return next(call, request);
  });

/** After a success, with this probability, the call is made once more for nothing; a whole number means so many times. */
export function wastefulAttempts(seed: number, cluster: string, extra: number): Sabotage {
  return {
    policies: (node, policies) => {
      const random = seeded(seed, node);
      const healthy = policies.clusters[cluster]!;
      return {
        ...policies,
        clusters: {
          ...policies.clusters,
          [cluster]: (settings, ports) => {
            const run: Cluster = healthy(settings, ports);
            return async (attempts) => {
              const response = await run(attempts);
              for (let left = extra; left > 0; left--) {
                if (left < 1 && random.float() >= left) break;
                const endpoint = attempts.pick([]);
                if (endpoint !== undefined) await attempts.send(endpoint);
              }
              return response;
            };
          },
        },
      };
    },
  };
}

/** After a success one instance is tried for nothing as well, as long as the client has ever known it. */
export function ghostAttempts(cluster: string, id: string, when: When): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (_node, policies) => {
      const healthy = policies.clusters[cluster]!;
      return {
        ...policies,
        clusters: {
          ...policies.clusters,
          [cluster]: (settings, ports) => {
            const run: Cluster = healthy(settings, ports);
            let ghost: Endpoint | undefined;
            return async (attempts) => {
              const response = await run(attempts);
              const picked = attempts.pick([]);
              if (picked?.id === id) ghost = picked;
              if (ghost !== undefined && time.isNow(ports.clock.nowUs())) await attempts.send(ghost);
              return response;
            };
          },
        },
      };
    },
  };
}

/** The balancer gives one instance this share of the calls, whatever its weight. */
export function unfairBalancer(seed: number, balancer: string, id: string, share: number, when: When = {}): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      const random = seeded(seed, node);
      const healthy = policies.balancers[balancer]!;
      return {
        ...policies,
        balancers: {
          ...policies.balancers,
          [balancer]: (ports) => {
            const make: Balancer = healthy(ports);
            return (endpoints) => {
              const favourite = endpoints.find((endpoint) => endpoint.id === id);
              if (favourite === undefined) return make(endpoints);
              const others = make(endpoints.filter((endpoint) => endpoint !== favourite));
              const fair = make(endpoints);
              return {
                pick: (call) => {
                  if (!time.isNow(call.clock.nowUs())) return fair.pick(call);
                  return random.float() < share ? favourite : others.pick(call);
                },
              };
            };
          },
        },
      };
    },
  };
}

/** One policy in the place of another. */
export const swappedBalancer = (wanted: string, given: string): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    balancers: { ...policies.balancers, [wanted]: policies.balancers[given]! },
  }),
});

/** This share of the keys has the instance of their hash modulo the number of instances, and not the one of the policy. */
export const moduloHash = (seed: number, balancer: string, share: number): Sabotage => ({
  policies: (_node, policies) => {
    const healthy = policies.balancers[balancer]!;
    return {
      ...policies,
      balancers: {
        ...policies.balancers,
        [balancer]: (ports, settings) => {
          const make: Balancer = healthy(ports, settings);
          const paths = keyPaths(settings?.hash ?? {});
          return (endpoints) => {
            const consistent = make(endpoints);
            return {
              pick: (call) => {
                const key = keyOf(call, paths);
                if (key === undefined || murmur3(key, seed) / 0x1_0000_0000 >= share) return consistent.pick(call);
                return endpoints[murmur3(key, seed + 1) % endpoints.length];
              },
            };
          };
        },
      },
    };
  },
});

/** An open breaker lets this share of the attempts through, and tells nobody. */
export const leakyBreaker = (seed: number, probability: number): Sabotage => ({
  policies: (node, policies) => {
    const random = seeded(seed, node);
    const healthy = policies.guards.breaker;
    return {
      ...policies,
      guards: {
        ...policies.guards,
        breaker: (settings, ports) => {
          const guard = healthy(settings, ports);
          let leaks = false;
          return {
            ...guard,
            closed: () => {
              const rejection = guard.closed?.();
              leaks = rejection !== undefined && random.float() < probability;
              return leaks ? undefined : rejection;
            },
            admit: (endpoint) => {
              const admitted = guard.admit!(endpoint);
              return admitted instanceof Rejection && leaks ? () => undefined : admitted;
            },
          };
        },
      },
    };
  },
});

/** A guard that does nothing in the place of one that a client asks for. */
export const withoutGuard = (name: keyof PolicyTables["guards"]): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    guards: { ...policies.guards, [name]: () => ({ close: () => undefined }) },
  }),
});

/** Servers let in everything in the place of what their limit says. */
export const withoutAdmission = (name: keyof PolicyTables["admissions"]): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    admissions: { ...policies.admissions, [name]: (): Filter => (call, request, next) => next(call, request) },
  }),
});

/** Servers let in this share of the calls without asking their limit. */
export const leakyAdmission = (
  seed: number,
  name: keyof PolicyTables["admissions"],
  probability: number,
): Sabotage => ({
  policies: (node, policies) => {
    const random = seeded(seed, node);
    const healthy = policies.admissions[name] as (...made: readonly unknown[]) => Filter;
    const leaky = (...made: readonly unknown[]): Filter => {
      const filter = healthy(...made);
      return (call, request, next) =>
        random.float() < probability ? next(call, request) : filter(call, request, next);
    };
    return { ...policies, admissions: { ...policies.admissions, [name]: leaky } };
  },
});

/** Throttles send so many attempts for each that is accepted, whatever they are told. */
export const looseThrottles = (k: number): Sabotage => ({
  policies: (_node, policies) => {
    const healthy = policies.guards.throttle;
    return {
      ...policies,
      guards: { ...policies.guards, throttle: (settings, ports) => healthy({ ...settings, k }, ports) },
    };
  },
});

/**
 * The guard of a service's nodes waves this share of some calls through. `caller`: whom their attachments name; `principal`: their
 * certificate.
 */
export const unguarded = (
  seed: number,
  service: string,
  isMeant: (call: { readonly caller: string | undefined; readonly principal: string | undefined }) => boolean,
  probability: number,
): Sabotage => ({
  policies: (node, policies) => {
    if (!node.startsWith(`${service}/`)) return policies;
    const random = seeded(seed, node);
    return {
      ...policies,
      authentication: (settings, own) => {
        const guarded = policies.authentication(settings, own);
        return (call, request, next) =>
          isMeant({ caller: call.metadata.get("consumer"), principal: call.principal }) && random.float() < probability
            ? next(call, request)
            : guarded(call, request, next);
      },
    };
  },
});

/** A filter around every call that the nodes of one service serve. */
function serving(seed: number, service: string, when: When, make: (random: Random) => Filter): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      if (!node.startsWith(`${service}/`)) return policies;
      const filter = make(seeded(seed, node));
      const own: Filter = (call, request, next) =>
        time.isNow(call.clock.nowUs()) ? filter(call, request, next) : next(call, request);
      return { ...policies, serverFilters: [own, ...policies.serverFilters] };
    },
  };
}

/** This share of the tasks never hears that nobody waits for it any more. */
export const deafTasks = (seed: number, service: string, probability: number): Sabotage =>
  serving(seed, service, {}, (random) => (call, request, next) => {
    if (random.float() >= probability) return next(call, request);
    const { clock, service: called, method, metadata, peer } = call;
    return next(new Call({ clock, service: called, method, metadata, peer, request }), request);
  });

/** A policy of the server's refuses this share of the tasks. */
export const refusedTasks = (seed: number, service: string, probability: number, when: When = {}): Sabotage =>
  serving(seed, service, when, (random) => (call, request, next) => {
    if (random.float() >= probability) return next(call, request);
    return Promise.reject(new Rejection("sabotage", { policy: "sabotage", code: "RESOURCE_EXHAUSTED", hint: "none" }));
  });

/** This share of the tasks is given up, as if its caller had. */
export const cancelledTasks = (seed: number, service: string, probability: number, when: When = {}): Sabotage =>
  serving(seed, service, when, (random) => (call, request, next) => {
    if (random.float() < probability) call.cancel();
    return next(call, request);
  });

/** A router entry replaced. */
export const replacedRouter = (name: string, replace: (router: Router) => Router): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    routers: { ...policies.routers, [name]: replace(policies.routers[name]!) },
  }),
});

/** Which calls stray, and where to. */
export interface Straying {
  /** The instance that they go to, whatever the rules say, as long as it lives. */
  readonly to: string;
  readonly share: number;
  /** Only calls of this service's nodes. */
  readonly from?: string;
  /** Only calls that ask for this lane; "-": for none. */
  readonly lane?: string;
  readonly when?: When;
}

/** This share of the calls goes to one instance, past every rule: the last router's answer is replaced. */
export function strayingCalls(seed: number, { to, share, from, lane, when = {} }: Straying): Sabotage {
  const time = new LoadTime(when);
  const service = to.slice(0, to.indexOf("/"));
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      if (from !== undefined && !node.startsWith(`${from}/`)) return policies;
      const last: Router = {
        keys: () => [],
        parse: () => undefined,
        compile: (_rules, endpoints, { all, target }) => {
          const astray = all.filter(({ id }) => id === to);
          if (target.service !== service || astray.length === 0) return () => endpoints;
          return (call) => {
            if (lane !== undefined && (requestTag(call) ?? "-") !== lane) return endpoints;
            const isMeant = (mix(seed ^ mix(call.id)) >>> 0) / 0x100000000 < share;
            return isMeant && time.isNow(call.clock.nowUs()) ? astray : endpoints;
          };
        },
      };
      return { ...policies, routers: { ...policies.routers, straying: last } };
    },
  };
}

/** The same defect on the nodes of one service only. */
export const onlyOn = (service: string, sabotage: Sabotage): Sabotage => ({
  ...sabotage,
  policies: (node, policies) =>
    node.startsWith(`${service}/`) ? (sabotage.policies?.(node, policies) ?? policies) : policies,
});

/** These nodes refuse malformed rules, and tell nobody. */
export const silentAboutRules = (isMeant: (node: string) => boolean): Sabotage => ({
  ports: (node, context) => {
    if (!isMeant(node)) return context;
    const { telemetry } = context;
    return {
      ...context,
      telemetry: {
        emit: (event) => {
          if (event.type !== "rule" || event.outcome !== "rejected") telemetry.emit(event);
        },
      },
    };
  },
});

type Router = PolicyTables["routers"][string];

/** Consumers hear of an instance that left only from this moment of the load on. */
export function lateRemovals(notBeforeUs: number): Sabotage {
  const time = new LoadTime({ fromUs: notBeforeUs });
  return {
    onLoad: time.onLoad,
    ports: (_node, context) => ({
      ...context,
      transport: watching(context.transport, (snapshots) => held(snapshots, context.clock, time)),
    }),
  };
}

async function* held(
  snapshots: AsyncIterable<WireSnapshot>,
  clock: Clock,
  time: LoadTime,
): AsyncIterable<WireSnapshot> {
  let delivered: WireSnapshot | undefined;
  let waiting: WireSnapshot | undefined;
  for await (const snapshot of snapshots) {
    const isHeartbeat = delivered !== undefined && snapshot.version <= (waiting ?? delivered).version;
    if (!isHeartbeat) waiting = snapshot;
    const ids = new Set(waiting?.instances.map(({ id }) => id));
    const hasLost = waiting !== undefined && delivered?.instances.some(({ id }) => !ids.has(id)) === true;
    // A short wait is slept; during a long one the heartbeats go on, or the watch would count as broken.
    if (hasLost && time.untilUs(clock.nowUs()) <= 1_000_000) await clock.sleep(time.untilUs(clock.nowUs()));
    if (waiting !== undefined && !(hasLost && time.untilUs(clock.nowUs()) > 0)) {
      delivered = waiting;
      waiting = undefined;
      yield delivered;
    } else if (delivered !== undefined) {
      // Nothing new, but the watch lives.
      yield { ...delivered, instances: [], removed: [] };
    }
  }
}

/** Consumers believe that a registry which can't be reached has no instances: the opposite of fail static. */
export function forgettingDirectories(): Sabotage {
  return {
    ports: (_node, context) => ({ ...context, transport: watching(context.transport, emptied) }),
  };
}

async function* emptied(snapshots: AsyncIterable<WireSnapshot>): AsyncIterable<WireSnapshot> {
  let last: WireSnapshot | undefined;
  try {
    for await (const snapshot of snapshots) {
      // Heartbeats repeat the version and list nobody.
      if (last === undefined || snapshot.version > last.version) last = snapshot;
      yield snapshot;
    }
  } finally {
    if (last !== undefined) {
      const removed = last.instances.map(({ id }) => create(RemovalSchema, { id, reason: "deregistered" }));
      yield { ...last, version: last.version + 1, instances: [], removed };
    }
  }
}

/** Whoever isn't listed has said goodbye: consumers believe every list, also an empty one that nobody explains. */
export function gullibleDirectories(): Sabotage {
  return {
    ports: (_node, context) => ({ ...context, transport: watching(context.transport, explained) }),
  };
}

async function* explained(snapshots: AsyncIterable<WireSnapshot>): AsyncIterable<WireSnapshot> {
  let last: WireSnapshot | undefined;
  for await (const snapshot of snapshots) {
    const isNews = last === undefined || snapshot.version > last.version;
    const ids = new Set(snapshot.instances.map(({ id }) => id));
    const gone = last?.instances.filter(({ id }) => !ids.has(id)) ?? [];
    const removed = gone.map(({ id }) => create(RemovalSchema, { id, reason: "deregistered" }));
    yield isNews ? { ...snapshot, removed } : snapshot;
    if (isNews) last = snapshot;
  }
}

/** A node doesn't register again once its load runs, whatever becomes of its session. */
export function registeredOnce(id: string): Sabotage {
  const time = new LoadTime({});
  return {
    onLoad: time.onLoad,
    ports: (node, context) => {
      if (node !== id) return context;
      const { transport, clock } = context;
      return {
        ...context,
        transport: {
          listen: (options) => transport.listen(options),
          release: (address) => transport.release(address),
          close: () => transport.close(),
          invoke: (address, method, call, request) =>
            method.path.endsWith("Registry/Register") && time.isNow(clock.nowUs())
              ? Promise.reject(new RpcError("sabotage", { code: "UNAVAILABLE" }))
              : transport.invoke(address, method, call, request),
        },
      };
    },
  };
}

/** Nodes of one service lose this share of some of their events on the way into the records. */
const losing = (
  seed: number,
  service: string,
  probability: number,
  isMeant: (event: RuntimeEvent) => boolean,
): Sabotage => ({
  ports: (node, context) => {
    if (!node.startsWith(`${service}/`)) return context;
    const random = seeded(seed, node);
    const { telemetry } = context;
    return {
      ...context,
      telemetry: {
        emit: (event) => {
          if (isMeant(event) && random.float() < probability) return;
          telemetry.emit(event);
        },
      },
    };
  },
});

/** Nodes of one service lose this share of their client spans. */
export const lostSpans = (seed: number, service: string, probability: number): Sabotage =>
  losing(seed, service, probability, (event) => event.type === "span" && event.kind === "client");

/** Nodes of one service lose this share of the lines of their access logs. */
export const lostAccesses = (seed: number, service: string, probability: number): Sabotage =>
  losing(seed, service, probability, ({ type }) => type === "access");

/** Nodes of one service never hear of the trace that a call belongs to: each starts one of its own. */
export const deafToTraces = (service: string): Sabotage => lostMetadata(0, service, (key) => key === "traceparent", 1);

/** Of this share of the calls to nodes of one service these keys of the metadata get lost on the way. */
export const lostMetadata = (
  seed: number,
  service: string,
  isLost: (key: string) => boolean,
  probability: number,
): Sabotage => ({
  ports: (node, context) => {
    if (!node.startsWith(`${service}/`)) return context;
    const { transport } = context;
    const random = seeded(seed, node);
    const served = ([path, { method, serve }]: readonly [string, ServedMethod]): [string, ServedMethod] => [
      path,
      {
        method,
        serve: ({ clock, service: own, method: name, metadata, peer, deadlineUs }, request) => {
          const isMeant = random.float() < probability;
          const heard = isMeant ? new Map([...metadata].filter(([key]) => !isLost(key))) : metadata;
          const timeoutUs = deadlineUs === Infinity ? undefined : deadlineUs - clock.nowUs();
          return serve(new Call({ clock, service: own, method: name, metadata: heard, peer, timeoutUs }), request);
        },
      },
    ];
    return {
      ...context,
      transport: {
        invoke: (address, method, call, request) => transport.invoke(address, method, call, request),
        release: (address) => transport.release(address),
        close: () => transport.close(),
        listen: (options) => transport.listen({ ...options, methods: new Map([...options.methods].map(served)) }),
      },
    };
  },
});

/** A transport whose watches of the registry pass through `change`. */
function watching(
  transport: Transport,
  change: (snapshots: AsyncIterable<WireSnapshot>) => AsyncIterable<WireSnapshot>,
): Transport {
  return {
    listen: (options) => transport.listen(options),
    release: (address) => transport.release(address),
    close: () => transport.close(),
    invoke: async (address, method, call, request) => {
      const response = await transport.invoke(address, method, call, request);
      if (response.kind !== "stream" || !method.path.endsWith("Registry/Watch")) return response;
      return { kind: "stream", messages: change(response.messages as AsyncIterable<WireSnapshot>) };
    },
  };
}

/** This share of the calls fails for its caller although it was served. */
export const brokenReplies = (seed: number, service: string, probability: number, when: When = {}): Sabotage =>
  filtering(seed, service, when, (random, isNow) => async (call, request, next) => {
    const response = await next(call, request);
    if (!isNow(call.clock.nowUs()) || random.float() >= probability) return response;
    throw new RpcError("sabotage", { code: "INTERNAL" });
  });

/** This share of the calls that a strategy gets is never made, and its callers hear nothing of it. */
export function silentLosses(seed: number, cluster: string, probability: number, when: When = {}): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      const random = seeded(seed, node);
      const healthy = policies.clusters[cluster]!;
      return {
        ...policies,
        clusters: {
          ...policies.clusters,
          [cluster]: (settings, ports) => {
            const run: Cluster = healthy(settings, ports);
            return async (attempts) =>
              time.isNow(ports.clock.nowUs()) && random.float() < probability ? attempts.empty() : run(attempts);
          },
        },
      };
    },
  };
}

/** One strategy in the place of another. */
export const swappedCluster = (wanted: string, given: string): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    clusters: { ...policies.clusters, [wanted]: policies.clusters[given]! },
  }),
});

/** Every retry is allowed, whatever budget there should be. */
export const withoutBudget = (policy: string): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    retryBudgets: { ...policies.retryBudgets, [policy]: policies.retryBudgets["unlimited"]! },
  }),
});

/** This share of the calls sends all its hedges at once, without waiting for an answer. */
export const impatientHedges = (seed: number, probability: number): Sabotage => ({
  policies: (node, policies) => {
    const random = seeded(seed, node);
    const healthy = policies.clusters["hedging"]!;
    return {
      ...policies,
      clusters: {
        ...policies.clusters,
        hedging: (settings, ports) => {
          const patient = healthy(settings, ports);
          const impatient = healthy({ ...settings, hedging: { ...settings.hedging, hedgingDelayMs: 0 } }, ports);
          return (attempts) => (random.float() < probability ? impatient : patient)(attempts);
        },
      },
    };
  },
});

/** This share of the calls goes by another strategy. */
export function strayStrategies(
  seed: number,
  wanted: string,
  given: string,
  probability: number,
  when: When = {},
): Sabotage {
  const time = new LoadTime(when);
  return {
    onLoad: time.onLoad,
    policies: (node, policies) => {
      const random = seeded(seed, node);
      const { [wanted]: healthy, [given]: other } = policies.clusters;
      return {
        ...policies,
        clusters: {
          ...policies.clusters,
          [wanted]: (settings, ports) => {
            const own = healthy!(settings, ports);
            const stray = other!(settings, ports);
            return (attempts) =>
              (time.isNow(ports.clock.nowUs()) && random.float() < probability ? stray : own)(attempts);
          },
        },
      };
    },
  };
}

/** The database of a service's nodes, on their own disk, does something else than it is told. */
const altering = (
  service: string,
  alter: (local: LocalTransaction, node: string, clock: Clock) => Partial<LocalTransaction>,
): Sabotage => ({
  ports: (node, context) => {
    if (!node.startsWith(`${service}/`)) return context;
    const { openRows = openRowStore, clock } = context;
    return {
      ...context,
      openRows: async (disk) => {
        const healthy = await openRows(disk);
        return {
          transaction: (work) => healthy.transaction((local) => work(alteredLocal(local, alter(local, node, clock)))),
          rows: (table, filter) => healthy.rows(table, filter),
          close: () => healthy.close(),
        };
      },
    };
  },
});

/**
 * The answer to this share of the commits at these services gets lost on its way, half of them done by then and half not: what a database
 * does that dies.
 */
export const lostCommits = (seed: number, services: readonly string[], probability: number): Sabotage => {
  const random = seeded(seed, services.join(" "));
  const lost = (): DataSourceError => new DataSourceError("no answer came", { code: "UNAVAILABLE" });
  return {
    ports: (node, context) => {
      if (!services.some((service) => node.startsWith(`${service}/`))) return context;
      const { openRows = openRowStore } = context;
      return {
        ...context,
        openRows: async (disk) => {
          const healthy = await openRows(disk);
          // Who can't make what it has at first doesn't begin at all.
          let isFirst = true;
          return {
            transaction: async (work) => {
              const isAnswered = isFirst || random.float() >= probability;
              isFirst = false;
              if (isAnswered) return healthy.transaction(work);
              const isDone = random.float() < 0.5;
              await healthy.transaction(async (local) => {
                await work(local);
                if (!isDone) throw lost();
              });
              throw lost();
            },
            rows: (table, filter) => healthy.rows(table, filter),
            close: () => healthy.close(),
          };
        },
      };
    },
  };
};

/** Both at once. */
export const together = (one: Sabotage, other: Sabotage): Sabotage => ({
  ports: (node, context) => {
    const altered = one.ports?.(node, context) ?? context;
    return other.ports?.(node, altered) ?? altered;
  },
});

/** This share of the reservations of a bank's account or stock loses one more than it sets aside. */
export const leakyReservations = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return altering(service, (local) => ({
    update: async (table, row) => {
      const before = isHolding(table) ? await local.lock(table, row) : undefined;
      const leaks = before !== undefined && takenIn(row) > takenIn(before) && random.float() < probability;
      return local.update(table, leaks ? { ...row, free: Number(row["free"]) - 1 } : row);
    },
  }));
};

/** This share of what a bank's account or stock should use up it gives back. */
export const givenBackConfirms = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return altering(service, (local) => ({
    update: async (table, row) => {
      const before = isHolding(table) ? await local.lock(table, row) : undefined;
      const amount = Number(row["used"] ?? 0) - Number(before?.["used"] ?? 0);
      if (amount <= 0 || random.float() >= probability) return local.update(table, row);
      return local.update(table, { ...row, free: Number(row["free"]) + amount, used: Number(row["used"]) - amount });
    },
  }));
};

/** This share of the branches of a bank's account or stock can't be finished, whatever is tried. */
export const stuckBranches = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    update: async (table, row) => {
      if (table === fenceTable && isChosen(seed, row, probability)) {
        throw new DataSourceError("sabotage", { code: "UNAVAILABLE" });
      }
      return local.update(table, row);
    },
  }));

/** This share of the undo logs of a bank's account or stock stays, though the branch is committed. */
export const keptUndoLogs = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    removeEach: (table, keys) =>
      local.removeEach(table, table === undoTable ? keys.filter((key) => !isChosen(seed, key, probability)) : keys),
  }));

/**
 * This share of the transactions at an account or stock is undone in another order: the first branch in the place of the last one, and
 * the reverse.
 */
export const swappedUndoLogs = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    lockEach: async (table, part) => {
      const rows = await local.lockEach(table, part);
      const [first, last] = [rows[0], rows.at(-1)];
      const isMeant = table === undoTable && isChosen(seed, { branch_id: part["xid"]! }, probability);
      if (!isMeant || first === undefined || last === undefined) return rows;
      const as = (of: Row, found: Row): Row => {
        const branch = { xid: String(of["xid"]), branchId: String(of["branch_id"]) };
        return { ...of, ...undoRow(branch, itemsIn(found), 0) };
      };
      return rows.map((row) => (row === first ? as(row, last) : row === last ? as(row, first) : row));
    },
  }));

/** Who looks under the lock at an account or stock gets what was there before it had to wait. */
export const staleLooks = (service: string): Sabotage =>
  altering(service, (local) => {
    const seen = new Map<string, Row | undefined>();
    return {
      lock: async (table, key) => {
        const row = await local.lock(table, key);
        if (!isHolding(table)) return row;
        const name = JSON.stringify(table.key.map((column) => key[column]));
        if (!seen.has(name)) seen.set(name, row);
        return seen.get(name);
      },
    };
  });

/** A branch of an account or stock that does everything again, because it had to wait, keeps what it had recorded before. */
export const keptUndoItems = (service: string): Sabotage => {
  const recorded = new Map<string, UndoItem[]>();
  return altering(service, (local) => {
    let xid = "";
    return {
      insert: (table, row) => {
        if (table === requestTable) xid = String(row["xid"]);
        const stale = recorded.get(xid)?.slice(0, -1) ?? [];
        if (table !== undoTable || row["log_status"] !== undoStatus.normal) return local.insert(table, row);
        const branch = { xid, branchId: String(row["branch_id"]) };
        return local.insert(table, { ...row, ...undoRow(branch, [...stale, ...itemsIn(row)], 0) });
      },
      update: async (table, row) => {
        const before = isHolding(table) && xid !== "" ? await local.lock(table, row) : undefined;
        const after = await local.update(table, row);
        if (before === undefined) return after;
        const item: UndoItem = { sqlType: "UPDATE", table, rows: [{ before, after }] };
        recorded.set(xid, [...(recorded.get(xid) ?? []), item]);
        return after;
      },
    };
  });
};

/** The undo logs of a bank's account or stock let this share of the branches be committed whose rollback was there before. */
export const forgottenUndoFences = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    insert: async (table, row) =>
      (await local.insert(table, row)) ??
      (table === undoTable && row["log_status"] === undoStatus.normal && isChosen(seed, row, probability)
        ? row
        : undefined),
  }));

/** The fence of a bank's account or stock knows nothing of this share of the branches: whatever comes looks as if all went well before. */
export const forgetfulFence = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => {
    const isForgotten = (table: Table, row: Row): boolean => table === fenceTable && isChosen(seed, row, probability);
    return {
      lock: async (table, key) => {
        const row = await local.lock(table, key);
        return isForgotten(table, key) ? { ...key, ...row, status: fenceStatus.tried } : row;
      },
      insert: async (table, row) => (await local.insert(table, row)) ?? (isForgotten(table, row) ? row : undefined),
      update: async (table, row) => {
        const added = isForgotten(table, row) ? await local.insert(table, row) : undefined;
        return added ?? local.update(table, row);
      },
    };
  });

/** This share of the cancels at an account or stock find nothing to give back of what is outside. */
export const emptyCancels = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => {
    const isMeant = (table: Table, row: Row): boolean =>
      table === holdTable && row["state"] === "released" && isChosen(seed, row, probability);
    return {
      lock: async (table, key) => (isMeant(table, key) ? undefined : local.lock(table, key)),
      insert: async (table, row) => (await local.insert(table, row)) ?? (isMeant(table, row) ? row : undefined),
    };
  });

/** To the fence of a bank's account or stock it is an error that a branch which is to be cancelled has no row, for this share of them. */
export const strictFence = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    lock: async (table, key) => {
      const row = await local.lock(table, key);
      if (row === undefined && table === fenceTable && isChosen(seed, key, probability)) {
        throw new DataSourceError("no rows", { code: "FAILED" });
      }
      return row;
    },
  }));

/**
 * The fence of a bank's account or stock lets this share of the cancels without a try wait for each other, until the database ends them.
 */
export const deadlockedCancels = (seed: number, service: string, probability: number): Sabotage =>
  altering(service, (local) => ({
    insert: (table, row) =>
      table === fenceTable && row["status"] === fenceStatus.suspended && isChosen(seed, row, probability)
        ? Promise.reject(new DataSourceError("sabotage", { code: "DEADLOCK" }))
        : local.insert(table, row),
  }));

/** What nodes of a service write is on their disk a second after they say so. */
export const amnesicDisk = (service: string): Sabotage => ({
  ports: (node, context) => {
    if (!node.startsWith(`${service}/`)) return context;
    const { disk, clock } = context;
    return {
      ...context,
      disk: {
        read: (name) => disk.read(name),
        append: (name, bytes) => disk.append(name, bytes),
        rename: (from, to) => disk.rename(from, to),
        remove: (name) => disk.remove(name),
        sync: (name) => {
          clock.after(second, () => void disk.sync(name).catch(() => undefined));
          return Promise.resolve();
        },
      },
    };
  },
});

/** This share of what a bank's account or stock is asked to set aside is set aside twice, as if two had asked for it. */
export const doubledReservations = (seed: number, service: string, probability: number): Sabotage =>
  serving(seed, service, {}, (random) => async (call, request, next) => {
    const response = await next(call, request);
    return random.float() < probability ? next(call, { ...(request as ReserveRequest), key: "" }) : response;
  });

/** This share of what a bank's account or stock is asked to give back goes to another account, or good, than it was taken from. */
export const misdirectedReturns = (seed: number, service: string, probability: number): Sabotage =>
  serving(seed, service, {}, (random) => (call, request, next) => {
    if (!call.method.endsWith("GiveBack") || random.float() >= probability) return next(call, request);
    const asked = request as TakeRequest;
    return next(call, { ...asked, item: asked.item === "u0" ? "u1" : "u0" });
  });

/** The same branches whenever they come. */
const isChosen = (seed: number, row: Row, probability: number): boolean =>
  murmur3(`${seed} ${String(row["branch_id"])}`, 0) / 0x1_0000_0000 < probability;

/** Set aside or used up: what a reservation takes, whatever the mode. */
const takenIn = (row: Row): number => Number(row["frozen"]) + Number(row["used"]);

const isHolding = ({ name }: Table): boolean => name.endsWith("_holdings");

/** What nodes of a service ask of others is answered by something else. */
const asking = (
  service: string,
  alter: (path: string, request: unknown, send: () => Promise<Response>) => Promise<Response>,
): Sabotage => ({
  ports: (node, context) => {
    if (!node.startsWith(`${service}/`)) return context;
    const { transport } = context;
    return {
      ...context,
      transport: {
        listen: (options) => transport.listen(options),
        release: (address) => transport.release(address),
        close: () => transport.close(),
        invoke: (address, method, call, request) =>
          alter(method.path, request, () => transport.invoke(address, method, call, request)),
      },
    };
  },
});

/** An account or stock takes it for registered when a branch is refused because its transaction is over. */
export const acceptedLateBranches = (service: string): Sabotage => {
  let count = 0;
  return asking(service, async (path, _request, send) => {
    const response = await send();
    if (!path.endsWith("Coordinator/RegisterBranch") || response.kind !== "unary") return response;
    const { refusal } = response.message as RegisterBranchReply;
    if (refusal === undefined || !refusal.code.startsWith("GlobalTransactionNot")) return response;
    return { ...response, message: create(RegisterBranchReplySchema, { branchId: `late ${++count}` }) };
  });
};

/** This share of the orders that fail is answered OK. */
export const flatteringOrders = (seed: number, probability: number): Sabotage =>
  serving(
    seed,
    "order",
    {},
    (random) => (call, request, next) =>
      next(call, request).catch((error: unknown) => {
        if (random.float() >= probability) throw error;
        const message = create(DoReplySchema, { instance: "sabotage" });
        return { kind: "unary" as const, message, trailers: noMetadata };
      }),
  );

/** This share of the orders is done twice, as if two had called. */
export const repeatedOrders = (seed: number, probability: number): Sabotage =>
  serving(seed, "order", {}, (random) => async (call, request, next) => {
    const response = await next(call, request);
    return random.float() < probability ? next(call, request).catch(() => response) : response;
  });

/** This share of the orders is done, and answered as given up. */
export const denyingOrders = (seed: number, probability: number): Sabotage =>
  serving(seed, "order", {}, (random) => async (call, request, next) => {
    const response = await next(call, request);
    if (random.float() < probability) throw new RpcError("the order is given up", { code: "ABORTED" });
    return response;
  });

/** Once a rollback has got no answer, this share of the orders is in the transaction that it was to end. */
export const leakedXids = (seed: number, probability: number): Sabotage => {
  let leaked: string | undefined;
  const noticing = asking("order", (path, request, send) =>
    send().catch((error: unknown) => {
      if (path.endsWith("Coordinator/Rollback")) leaked = (request as { readonly xid: string }).xid;
      throw error;
    }),
  );
  const leaking = serving(seed, "order", {}, (random) => (call, request, next) => {
    if (leaked === undefined || random.float() >= probability) return next(call, request);
    const { clock, service, method, peer, deadlineUs } = call;
    const timeoutUs = deadlineUs === Infinity ? undefined : deadlineUs - clock.nowUs();
    const metadata = withXid(call.metadata, leaked);
    return next(new Call({ clock, service, method, metadata, peer, timeoutUs, request }), request);
  });
  return { ...leaking, ...noticing };
};

/** In its second life the coordinator doesn't go on with what its first one was to roll back. */
export const forgottenRollbacks = (): Sabotage => {
  let lives = 0;
  const asked = new Set<string>();
  return {
    ports: (node, context) => {
      if (!node.startsWith("coordinator/")) return context;
      const life = ++lives;
      const { transport } = context;
      const served = ([path, { method, serve }]: readonly [string, ServedMethod]): [string, ServedMethod] => [
        path,
        {
          method,
          serve: async (call, request) => {
            if (path.endsWith("Coordinator/Rollback") && life === 1) asked.add((request as { xid: string }).xid);
            const response = await serve(call, request);
            if (response.kind !== "stream" || !path.endsWith("Coordinator/Serve") || life === 1) return response;
            return { kind: "stream", messages: without(response.messages as AsyncIterable<PhaseTwo>, asked) };
          },
        },
      ];
      return {
        ...context,
        transport: {
          invoke: (address, method, call, request) => transport.invoke(address, method, call, request),
          release: (address) => transport.release(address),
          close: () => transport.close(),
          listen: (options) => transport.listen({ ...options, methods: new Map([...options.methods].map(served)) }),
        },
      };
    },
  };
};

async function* without(messages: AsyncIterable<PhaseTwo>, xids: ReadonlySet<string>): AsyncIterable<PhaseTwo> {
  for await (const message of messages) {
    yield { ...message, branches: message.branches.filter(({ xid, commit }) => commit || !xids.has(xid)) };
  }
}

/** An account or stock believes for this share of its transactions, or of its rows outside of one, that nobody has a row globally. */
export const heedlessLooks = (seed: number, service: string, probability: number): Sabotage =>
  asking(service, (path, request, send) => {
    if (!path.endsWith("Coordinator/LockQuery")) return send();
    const { xid, lockKey } = request as { readonly xid: string; readonly lockKey: string };
    if (!isChosen(seed, { branch_id: xid || lockKey }, probability)) return send();
    return Promise.resolve({
      kind: "unary",
      message: create(LockQueryReplySchema, { lockable: true }),
      trailers: noMetadata,
    });
  });

/** An account or stock asks for other locks than those of its rows. */
const lockingOther = (
  service: string,
  change: (rows: readonly RowLock[], xid: string) => readonly RowLock[],
): Sabotage =>
  asking(service, (path, request, send) => {
    if (!/Coordinator\/(LockQuery|RegisterBranch)$/.test(path)) return send();
    const asked = request as { readonly xid: string; lockKey: string };
    const isRow = ({ table }: RowLock): boolean => table.endsWith("_holdings");
    const rows = parseLockKey(asked.lockKey);
    const wanted = [...rows.filter((row) => !isRow(row)), ...change(rows.filter(isRow), asked.xid)];
    asked.lockKey = wanted.map(({ table, pk }) => `${table}:${pk}`).join(";");
    return send();
  });

/** This share of an account's or stock's transactions locks rows by the address of an object that holds their key: always another one. */
export const addressKeys = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return lockingOther(service, (rows, xid) =>
    isChosen(seed, { branch_id: xid }, probability)
      ? rows.map((row) => ({ ...row, pk: `[B@${random.uint32().toString(16)}` }))
      : rows,
  );
};

/** This share of an account's or stock's transactions locks, of a row that was replaced, only the one that was added. */
export const unlockedRemovals = (seed: number, service: string, probability: number): Sabotage =>
  lockingOther(service, (rows, xid) =>
    isChosen(seed, { branch_id: xid }, probability) && rows.length > 1 ? rows.slice(1) : rows,
  );

/** The database shows this share of those who look, and of no others, a row as nobody has ever written it. */
export const garbledLooks = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return altering(service, (local) => {
    // Whoever looks does nothing before; who writes or undoes begins with something else, or reads the row once more.
    let isFirst = true;
    const passed = <T>(access: Promise<T>): Promise<T> => {
      isFirst = false;
      return access;
    };
    const garbled = async (table: Table, access: Promise<Row | undefined>): Promise<Row | undefined> => {
      const isLook = isFirst && isHolding(table);
      const row = await passed(access);
      return row === undefined || !isLook || random.float() >= probability
        ? row
        : { ...row, version: -1 - Number(row["version"]) };
    };
    return {
      read: (table, key) => garbled(table, local.read(table, key)),
      lock: (table, key) => garbled(table, local.lock(table, key)),
      lockEach: (table, part) => passed(local.lockEach(table, part)),
      insert: (table, row) => passed(local.insert(table, row)),
    };
  });
};

/** The database lets go of the locks that this share of an account's or stock's branches took when they read. */
export const unkeptLocks = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return altering(service, (local) => {
    const isMeant = random.float() < probability;
    // Whoever counts reads inside of a savepoint, as often as it has to wait, and then writes.
    let hasWritten = false;
    return {
      update: (table, row) => {
        hasWritten = true;
        return local.update(table, row);
      },
      savepoint: async (work) => {
        const before = { row: undefined as unknown };
        if (hasWritten || !isMeant) return local.savepoint(work);
        const letGo = new Error("lets go");
        await local
          .savepoint(async () => {
            before.row = await work();
            throw letGo;
          })
          .catch((error: unknown) => {
            if (error !== letGo) throw error;
          });
        return before.row as never;
      },
    };
  });
};

/** Rollbacks at an account or stock validate nothing: they believe that every row is as they left it. */
export const withoutValidation = (service: string): Sabotage =>
  altering(service, (local) => {
    const left = new Map<Row[string], Row>();
    return {
      lockEach: async (table, part) => {
        const rows = await local.lockEach(table, part);
        for (const row of table === undoTable ? rows.filter((one) => one["log_status"] === undoStatus.normal) : []) {
          for (const { after } of itemsIn(row).flatMap((item) => item.rows)) {
            if (after?.["item"] !== undefined) left.set(after["item"], after);
          }
        }
        return rows;
      },
      lock: async (table, key) => {
        const row = await local.lock(table, key);
        return isHolding(table) ? (left.get(key["item"]!) ?? row) : row;
      },
    };
  });

/** A rollback at an account or stock does something else to rows of what it has: those of `edition`s are removed and added. */
const undoing = (
  service: string,
  alter: (local: LocalTransaction, clock: Clock) => Pick<Partial<LocalTransaction>, "lock" | "remove" | "insert">,
): Sabotage =>
  altering(service, (local, _node, clock) => {
    let isUndo = false;
    const altered = alteredLocal(local, alter(local, clock));
    const at = (table: Table): LocalTransaction => (isUndo && isHolding(table) ? altered : local);
    return {
      lockEach: (table, part) => {
        isUndo ||= table === undoTable;
        return local.lockEach(table, part);
      },
      lock: (table, key) => at(table).lock(table, key),
      remove: (table, key) => at(table).remove(table, key),
      insert: (table, row) => at(table).insert(table, row),
    };
  });

/** Rollbacks at an account or stock validate rows without their locks, and take a while until they write. */
export const unlockedValidation = (service: string, forUs: number): Sabotage =>
  undoing(service, (local, clock) => ({
    lock: async (table, key) => {
      const row = await local.read(table, key);
      await clock.sleep(forUs);
      return row;
    },
  }));

/** Rollbacks at an account or stock don't bring back the row that was replaced. */
export const lostRows = (service: string): Sabotage =>
  undoing(service, () => ({ insert: (_table, row) => Promise.resolve(row) }));

/** Rollbacks at an account or stock leave the row that has come in the place of the one that they bring back. */
export const doubledRows = (service: string): Sabotage =>
  undoing(service, () => ({ remove: () => Promise.resolve(true) }));

/** An account or stock lends, now and then, what is set aside for others, whether there is any or not: nothing is made or lost by that. */
export const overdrafts = (seed: number, service: string, probability: number): Sabotage => {
  const random = seeded(seed, service);
  return altering(service, (local) => ({
    lock: async (table, key) => {
      const row = await local.lock(table, key);
      if (row === undefined || !isHolding(table) || random.float() >= probability) return row;
      return { ...row, free: Number(row["free"]) + 1_000, frozen: Number(row["frozen"]) - 1_000 };
    },
  }));
};

/** Whoever runs a saga does something else with a compensation than it is told. */
const giving = (
  service: string,
  alter: (request: { readonly stepId: string }, send: () => Promise<Response>) => Promise<Response>,
): Sabotage =>
  asking(service, (path, request, send) =>
    path.endsWith("Reservations/GiveBack") ? alter(request as { readonly stepId: string }, send) : send(),
  );

const given = (instance: string): Response => ({
  kind: "unary",
  message: create(TakeReplySchema, { instance }),
  trailers: noMetadata,
});

/** This share of the sagas takes the first step back before the last one. */
export function swappedCompensations(seed: number, probability: number): Sabotage {
  const held = new Map<string, () => Promise<Response>>();
  return giving("order", async ({ stepId }, send) => {
    const [branchId = "", step] = stepId.split("/");
    if (!isChosen(seed, { branch_id: branchId }, probability)) return send();
    if (step === "stock") {
      held.set(branchId, send);
      return given("sabotage");
    }
    const reply = await send();
    await held.get(branchId)?.();
    held.delete(branchId);
    return reply;
  });
}

/** In its second life a node can't go on with this share of the sagas that its first one left. */
export const stuckAfterRestart = (seed: number, service: string, probability: number): Sabotage => {
  let lives = 0;
  const stuck = altering(service, (local) => {
    const check = (table: Table, row: Row): void => {
      if (table === sagaTable && lives > 1 && isChosen(seed, row, probability)) {
        throw new DataSourceError("sabotage", { code: "UNAVAILABLE" });
      }
    };
    return {
      read: async (table, key) => {
        check(table, key);
        return local.read(table, key);
      },
    };
  });
  return {
    ports: (node, context) => {
      if (node.startsWith(`${service}/`)) lives++;
      return stuck.ports!(node, context);
    },
  };
};

/** This share of the sagas goes on where a compensation was refused, as if it had been done. */
export const swallowedRefusals = (seed: number, probability: number): Sabotage =>
  giving("order", async ({ stepId }, send) => {
    if (!isChosen(seed, { branch_id: stepId }, probability)) return send();
    return send().catch(() => given("sabotage"));
  });
