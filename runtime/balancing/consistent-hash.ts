import { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { md5 } from "../md5.ts";
import type { BalancerPolicy, HashSettings } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { keyOf, keyPaths } from "./hash-key.ts";
import { HashRing } from "./hash-ring.ts";
import { latestSplices } from "./splices.ts";

/**
 * Consistent hashing as Dubbo does it (Karger 1997; Ketama's points): every endpoint has `nodes` (160) points on a ring of 2^32, four to
 * each MD5 of its address and a number; a call goes to the first point at or behind the hash of its arguments. So a key keeps its
 * instance while that one lives, and only the keys of an instance that left move. `arguments`: which parts of the request make the key
 * ("0", all of it; "0.user.id", a field). A call that has none of them goes to a random endpoint. Weights don't count, but 0 takes no
 * traffic. A pick is O(log n).
 *
 * The shares are uneven: with 160 points their standard deviation is 8 % of the mean, and a hot key heats one instance.
 */
export const consistentHash: BalancerPolicy = ({ random }, settings) => {
  const { nodes, paths } = read(settings?.hash);
  const differences = latestSplices();
  const ring = new HashRing(nodes, differences);
  const among = eligible(differences);
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick(call) {
        if (pool.length < 2) return pool[0];
        const key = keyOf(call, paths);
        if (key === undefined) return pool[random.below(pool.length)];
        ring.become(pool);
        return ring.first(hashOf(key));
      },
    };
  };
};

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018, https://arxiv.org/abs/1608.01350): as "consistent-hash",
 * but an endpoint takes no more than ⌈loadFactor · (calls in flight + 1) / n⌉ of this client's calls in flight; what is over goes to the
 * next on the ring. `loadFactor` is 1.25: nearer to 1 evens out more and moves more keys. A pick looks at 1 / (loadFactor - 1)² endpoints
 * or so.
 */
export const consistentHashBounded: BalancerPolicy = ({ random }, settings) => {
  const { nodes, paths, loadFactor } = read(settings?.hash);
  const differences = latestSplices();
  const ring = new HashRing(nodes, differences);
  const among = eligible(differences);
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick(call) {
        if (pool.length < 2) return pool[0];
        ring.become(pool);
        const most = Math.ceil((loadFactor * (ring.inFlight + 1)) / pool.length);
        const key = keyOf(call, paths);
        const hash = key === undefined ? random.uint32() : hashOf(key);
        return ring.first(hash, ({ stats }: Endpoint) => stats.inFlight < most);
      },
    };
  };
};

function read(settings: HashSettings = {}): {
  readonly nodes: number;
  readonly paths: readonly string[];
  readonly loadFactor: number;
} {
  const { nodes = 160, loadFactor = 1.25 } = settings;
  if (!(Number.isInteger(nodes) && nodes >= 4 && nodes % 4 === 0))
    throw wrong(`hash.nodes ${nodes}`, "a multiple of 4");
  if (!(loadFactor > 1)) throw wrong(`hash.loadFactor ${loadFactor}`, "a number above 1");
  return { nodes, paths: keyPaths(settings), loadFactor };
}

const wrong = (what: string, hint: string): RpcError =>
  new RpcError(`${what} makes no ring`, { code: "INVALID_ARGUMENT", hint });

const hashOf = (key: string): number => md5(key)[0];
