import { createHash } from "node:crypto";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Endpoint } from "../discovery/endpoint.ts";
import { call, endpoint, isImplausible } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import type { Balancer, HashSettings } from "./balancer.ts";
import { consistentHash, consistentHashBounded } from "./consistent-hash.ts";

const ports = { random: createRandom(1) };
const of = (hash?: HashSettings): Balancer => consistentHash(ports, { hash });
const bounded = (loadFactor: number): Balancer => consistentHashBounded(ports, { hash: { loadFactor } });
const servers = (count: number): Endpoint[] =>
  Array.from({ length: count }, (_, index) =>
    endpoint({ id: `orders/${index}`, address: `10.0.${index >> 8}.${index & 255}:20880` }),
  );
const keyed = (key: string) => call({ request: key });

const keys = ["", "0", "user-1", "user-2", "user-3", "user-42", "u4711", "okabc", "用户", "é", "0123456789".repeat(7)];

/**
 * What dubbo-go 3.3.2 picks (`Select` of cluster/loadbalance/consistenthashing, called with one text as the argument and `hash.nodes`):
 * the index of each of `keys`' instance, and how many of the keys u0 to u29999 each instance gets.
 */
const picksOfDubboGo = [
  {
    nodes: 160,
    addresses: ["10.0.0.1:20880", "10.0.0.2:20880", "10.0.0.3:20880"],
    picks: [0, 0, 2, 1, 0, 1, 2, 1, 2, 0, 1],
    counts: [10304, 10254, 9442],
  },
  {
    nodes: 160,
    addresses: ["10.0.0.1:20880", "10.0.0.3:20880"],
    picks: [0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1],
    counts: [16174, 13826],
  },
  {
    nodes: 160,
    addresses: ["192.168.1.0:8080", "192.168.1.0:8081", "192.168.1.0:8082"],
    picks: [2, 0, 0, 1, 2, 1, 0, 0, 1, 2, 0],
    counts: [10110, 10210, 9680],
  },
  {
    nodes: 8,
    addresses: ["10.0.0.1:20880", "10.0.0.2:20880", "10.0.0.3:20880", "10.0.1.1:20881", "172.22.3.91:50051"],
    picks: [4, 0, 0, 3, 0, 4, 0, 0, 0, 1, 2],
    counts: [10142, 4852, 6837, 3272, 4897],
  },
  {
    nodes: 160,
    addresses: Array.from({ length: 20 }, (_, index) => `10.1.${Math.floor(index / 10)}.${index}:20880`),
    picks: [15, 11, 8, 5, 9, 13, 4, 4, 0, 5, 0],
    counts: [
      1391, 1580, 1343, 1415, 1416, 1519, 1447, 1572, 1673, 1466, 1545, 1536, 1509, 1636, 1440, 1562, 1468, 1719, 1458,
      1305,
    ],
  },
];

/** Dubbo's ring as it is described, with Node.js's MD5 and no cleverness. */
function naive(endpoints: readonly Endpoint[], key: string): Endpoint {
  const points = endpoints.flatMap((owner) =>
    Array.from({ length: 40 }, (_, i) => createHash("md5").update(`${owner.address}${i}`).digest()).flatMap((digest) =>
      [0, 4, 8, 12].map((at) => ({ hash: digest.readUInt32LE(at), owner })),
    ),
  );
  points.sort((a, b) => a.hash - b.hash);
  const hash = createHash("md5").update(key).digest().readUInt32LE(0);
  return (points.find((point) => point.hash >= hash) ?? points[0]!).owner;
}

describe("dubbo-go's ring", () => {
  test.each(picksOfDubboGo)(
    "of $nodes points each has the same keys: $addresses",
    ({ nodes, addresses, picks, counts }) => {
      const all = addresses.map((address) => endpoint({ id: address, address }));
      const picker = of({ nodes })(all);
      expect(keys.map((key) => all.indexOf(picker.pick(keyed(key))!))).toEqual(picks);
      const owners = Array.from({ length: 30_000 }, (_, index) => picker.pick(keyed(`u${index}`)));
      expect(all.map((one) => owners.filter((owner) => owner === one).length)).toEqual(counts);
    },
  );

  // TestSelect in its loadbalance_test.go; `hash.arguments` 0,1 makes one key of two texts.
  test.each([
    ["name", "password", 8081],
    ["ok", "abc", 8080],
  ])("the arguments %s and %s lead to port %i, as in its own test", (first, second, port) => {
    const all = [8080, 8081, 8082].map((each) => endpoint({ id: `${each}`, address: `192.168.1.0:${each}` }));
    const picker = of({ arguments: "0.first,0.second" })(all);
    expect(picker.pick(call({ request: { first, second } }))?.address).toBe(`192.168.1.0:${port}`);
  });
});

describe("consistent hashing", () => {
  test("puts every key where Dubbo's ring puts it, through any changes of the list", () => {
    const all = servers(12);
    fc.assert(
      fc.property(
        fc.array(fc.shuffledSubarray(all, { minLength: 2 }), { minLength: 1, maxLength: 6 }),
        fc.string(),
        (lists, key) => {
          const balancer = of();
          for (const list of lists) expect(balancer(list).pick(keyed(key))).toBe(naive(list, key));
        },
      ),
      { numRuns: 30 },
    );
  });

  test("an older picker still picks from its own list", () => {
    const all = servers(5);
    const balancer = of();
    const [before, after] = [balancer(all), balancer(all.slice(1))];
    for (let index = 0; index < 50; index++) {
      expect(after.pick(keyed(`u${index}`))).toBe(naive(all.slice(1), `u${index}`));
      expect(before.pick(keyed(`u${index}`))).toBe(naive(all, `u${index}`));
    }
  });

  test("moves exactly the keys of an instance that leaves, and brings them back with it", () => {
    const all = servers(10);
    const balancer = of();
    const keys = Array.from({ length: 5000 }, (_, index) => keyed(`u${index}`));
    const place = (list: readonly Endpoint[]) => keys.map((key) => balancer(list).pick(key));
    const before = place(all);
    const without = place(all.filter((one) => one !== all[3]));
    for (const [index, owner] of before.entries()) if (owner !== all[3]) expect(without[index]).toBe(owner);
    expect(without).not.toContain(all[3]);
    expect(place(all)).toEqual(before);
  });

  test("V25: the shares of 100 instances vary by 1/√points: 8 % of the mean with 160", () => {
    const all = servers(100);
    const picker = of()(all);
    const counts = new Map<Endpoint | undefined, number>(all.map((one) => [one, 0]));
    const calls = 200_000;
    for (let index = 0; index < calls; index++) {
      const picked = picker.pick(keyed(`u${index}`));
      counts.set(picked, counts.get(picked)! + 1);
    }
    const shares = [...counts.values()].map((count) => (count * 100) / calls);
    const deviation = Math.sqrt(shares.reduce((sum, share) => sum + (share - 1) ** 2, 0) / 100);
    expect(deviation).toBeGreaterThan(0.06);
    expect(deviation).toBeLessThan(0.1);
    expect(Math.max(...shares)).toBeLessThan(1.35);
  });

  test("goes by the arguments that it is told", () => {
    const all = servers(10);
    const picker = of({ arguments: "0.user.id,0.shop" })(all);
    for (let index = 0; index < 30; index++) {
      const request = { user: { id: index }, shop: "x", noise: Math.sqrt(index) };
      expect(picker.pick(call({ request }))).toBe(naive(all, `${index}x`));
    }
  });

  test("without a key it is random: nobody gets all such calls", () => {
    const all = servers(4);
    const picker = of({ arguments: "0.user" })(all);
    const hits = Array.from({ length: 4000 }, () => picker.pick(call({ request: {} }))).filter((one) => one === all[0]);
    expect(isImplausible(hits.length, 4000, 0.25)).toBe(false);
  });

  test("V27: with bounded load nobody ever has more than ⌈c · calls / n⌉ in flight, even if there is one key", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 20 }),
        fc.double({ min: 1.05, max: 3, noNaN: true }),
        fc.integer({ min: 1, max: 5 }),
        (count, factor, keys) => {
          const all = servers(count);
          const picker = bounded(factor)(all);
          for (let inFlight = 1; inFlight <= 60; inFlight++) {
            const { stats } = picker.pick(keyed(`u${inFlight % keys}`))!;
            stats.inFlight++;
            for (const changed of stats.watchers) changed(1);
            expect(stats.inFlight).toBeLessThanOrEqual(Math.ceil((factor * inFlight) / count));
          }
        },
      ),
    );
  });

  test("the golden cap: 3 equal instances, 9 in flight, factor 1.25: at most 5", () => {
    const all = [4, 5, 0].map((inFlight, index) => endpoint({ id: `orders/${index}`, inFlight }));
    const picker = bounded(1.25)(all);
    const picked = new Set(Array.from({ length: 300 }, (_, index) => picker.pick(keyed(`u${index}`))));
    expect(picked).toEqual(new Set([all[0], all[2]]));
  });

  test("bounded load goes where plain hashing goes while there is room", () => {
    const all = servers(8);
    for (let index = 0; index < 100; index++) {
      expect(bounded(2)(all).pick(keyed(`u${index}`))).toBe(of()(all).pick(keyed(`u${index}`)));
    }
  });
});
