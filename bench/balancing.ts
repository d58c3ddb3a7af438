import type { BalancerPolicy } from "../runtime/balancing/balancer.ts";
import { balancers } from "../runtime/balancing/table.ts";
import { Call } from "../runtime/call/call.ts";
import { endpointOf, type Endpoint } from "../runtime/discovery/endpoint.ts";
import { systemClock } from "../runtime/node/clock.ts";
import { createRandom } from "../runtime/random.ts";
import { threadCpuUs } from "./cpu.ts";
import { ratios, type Bench, type Figure } from "./bench.ts";

const sizes = [10, 1_000, 100_000];
const picks = 50_000;
/** Membership changes to one measurement: enough that merging a ring's millions of points is among them. */
const changes = 2_000;

/**
 * The time of a pick, of a call's begin and end where a policy hears of them, and of the first pick after one instance was replaced, with
 * all that follows from it: finding what changed, and the policy's own structures.
 */
export const balancing: Bench = {
  name: "balancing",
  about: "a pick of every balancer, and the first pick after one instance changed, beside nginx's loop",

  run: (rounds, progress) => {
    const figures: Figure[] = [];
    for (const size of sizes) {
      const loop: number[] = [];
      const wheel: number[] = [];
      for (const [name, policy] of Object.entries(balancers)) {
        const [pickNs, callNs, changeMs]: [number[], number[], number[]] = [[], [], []];
        for (let round = 1; round <= rounds; round++) {
          progress(`balancing: ${name}, ${size} instances, round ${round} of ${rounds}`);
          const measured = measure(policy, size);
          pickNs.push(measured.pickNs);
          changeMs.push(measured.changeMs);
          if (measured.callNs !== undefined) callNs.push(measured.callNs);
          if (name !== "smooth-weighted-round-robin") continue;
          wheel.push(measured.pickNs);
          loop.push(peer(size));
        }
        const what = `${name}, ${size.toLocaleString("en")}`;
        figures.push({ what: `${what}: a pick`, unit: "ns", values: pickNs });
        if (callNs.length > 0) figures.push({ what: `${what}: a call's begin and end`, unit: "ns", values: callNs });
        const target = size === 100_000 ? "< 1" : undefined;
        figures.push({ what: `${what}: a change`, unit: "ms", values: changeMs, target });
      }
      figures.push({ what: `nginx's loop, ${size.toLocaleString("en")}: a pick`, unit: "ns", values: loop });
      figures.push({ what: `  smooth-weighted-round-robin / nginx's loop`, unit: "×", values: ratios(wheel, loop) });
    }
    return Promise.resolve(figures);
  },
};

function server(index: number): Endpoint {
  const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:20880`;
  return endpointOf({
    id: `orders/${index}`,
    service: "orders",
    address,
    weight: 50 * (1 + (index % 4)),
    metadata: {},
  });
}

interface Measured {
  readonly pickNs: number;
  /** Undefined where the policy doesn't hear of calls. */
  readonly callNs: number | undefined;
  readonly changeMs: number;
}

function measure(policy: BalancerPolicy, size: number): Measured {
  const clock = systemClock();
  const calls = Array.from({ length: 256 }, (_, index) => {
    return new Call({ clock, service: "orders", method: "/a/B", request: `u${index}` });
  });
  const balancer = policy({ random: createRandom(1) });
  let list = Array.from({ length: size }, (_, index) => server(index));
  const picker = balancer(list);
  const pick = (index: number): void => void picker.pick(calls[index & 255]!);
  const beginAndEnd = (index: number): void => {
    const { stats } = list[index % size]!;
    stats.inFlight++;
    for (const changed of stats.watchers) changed(1);
    stats.inFlight--;
    for (const changed of stats.watchers) changed(-1);
  };
  // Builds what is built once, and lets the engine compile.
  nsOf(10_000, pick);
  const pickNs = nsOf(picks, pick);
  const hears = list[0]!.stats.watchers.length > 0;
  if (hears) nsOf(10_000, beginAndEnd);
  const callNs = hears ? nsOf(picks, beginAndEnd) : undefined;

  // The thread's own time: the lists that are made in between are not, and on a busy machine it has to share.
  let changeUs = 0;
  for (let change = 0; change < changes; change++) {
    const next = [...list];
    next[(change * 7919) % size] = server(size + change);
    list = next;
    changeUs -= threadCpuUs();
    balancer(list).pick(calls[change & 255]!);
    changeUs += threadCpuUs();
  }
  return { pickNs, callNs, changeMs: changeUs / changes / 1e3 };
}

function nsOf(count: number, work: (index: number) => void): number {
  const beganNs = process.hrtime.bigint();
  for (let index = 0; index < count; index++) work(index);
  return Number(process.hrtime.bigint() - beganNs) / count;
}

/** nginx's own way to the same sequence: everybody is looked at. */
function peer(size: number): number {
  const weights = Array.from({ length: size }, (_, index) => 50 * (1 + (index % 4)));
  const credits = new Float64Array(size);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const count = Math.max(20, Math.floor(2_000_000 / size));
  const beganNs = process.hrtime.bigint();
  for (let pick = 0; pick < count; pick++) {
    let best = 0;
    for (let index = 0; index < size; index++) {
      credits[index]! += weights[index]!;
      if (credits[index]! > credits[best]!) best = index;
    }
    credits[best]! -= total;
  }
  return Number(process.hrtime.bigint() - beganNs) / count;
}
