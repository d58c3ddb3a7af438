import type { PolicyTables } from "../../runtime/call/client.ts";
import type { Filter } from "../../runtime/call/filter.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Balancer } from "../../runtime/balancing/balancer.ts";
import type { Cluster } from "../../runtime/cluster/cluster.ts";
import type { Random } from "../../runtime/ports/random.ts";
import type { ServiceSnapshot } from "../../runtime/ports/registry.ts";
import type { Transport } from "../../runtime/ports/transport.ts";
import { createRandom } from "../../runtime/random.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";

/**
 * Defects to plant into a simulated fleet. Each replaces a policy entry or a port of some nodes and nothing else, so that a run
 * with one goes the same way as every other run, and must fail exactly the check that it is aimed at.
 */

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
export const failingCalls = (seed: number, service: string, probability: number, when: When = {}): Sabotage =>
  filtering(seed, service, when, (random, isNow) => (call, request, next) => {
    if (isNow(call.clock.nowUs()) && random.float() < probability) {
      return Promise.reject(new RpcError("sabotage", { code: "UNAVAILABLE" }));
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

/** The balancer gives one instance this share of the calls, whatever its weight. */
export function unfairBalancer(seed: number, balancer: string, id: string, share: number): Sabotage {
  return {
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
              return { pick: (call) => (random.float() < share ? favourite : others.pick(call)) };
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

/** A router entry replaced. */
export const replacedRouter = (name: string, replace: (router: Router) => Router): Sabotage => ({
  policies: (_node, policies) => ({
    ...policies,
    routers: { ...policies.routers, [name]: replace(policies.routers[name]!) },
  }),
});

type Router = PolicyTables["routers"][string];

/** Consumers hear of an instance that left only `lateUs` after the registry told. */
export function lateRemovals(lateUs: number): Sabotage {
  return {
    ports: (node, context) =>
      node.startsWith("registry/") ? context : { ...context, transport: holdingRemovals(context.transport, lateUs) },
  };
}

function holdingRemovals(transport: Transport, lateUs: number): Transport {
  return {
    listen: (options) => transport.listen(options),
    close: () => transport.close(),
    invoke: async (address, method, call, request) => {
      const response = await transport.invoke(address, method, call, request);
      if (response.kind !== "stream" || !method.path.endsWith("Registry/Watch")) return response;
      return {
        kind: "stream",
        messages: held(response.messages as AsyncIterable<ServiceSnapshot>, call.clock.sleep.bind(call.clock), lateUs),
      };
    },
  };
}

async function* held(
  snapshots: AsyncIterable<ServiceSnapshot>,
  sleep: (us: number) => Promise<void>,
  lateUs: number,
): AsyncIterable<ServiceSnapshot> {
  let known = new Set<string>();
  for await (const snapshot of snapshots) {
    const ids = new Set(snapshot.instances.map(({ id }) => id));
    const lost = [...known].some((id) => !ids.has(id));
    known = ids;
    if (lost) await sleep(lateUs);
    yield snapshot;
  }
}
