import type { AttemptEnd, Endpoint, EndpointStats } from "../discovery/endpoint.ts";
import type { BalancerPolicy, WeightedRoundRobinSettings } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { Membership, type Member } from "./membership.ts";
import { readReport } from "./reports/orca.ts";
import { latestSplices } from "./splices.ts";

/**
 * gRPC's weighted round-robin (proposal A58,
 * https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md): who does its calls with less of its
 * capacity gets more of them. Instances report their load with every answer (ORCA, `reportsLoad`):
 *
 *     weight = calls per second / (utilisation + errors per second / calls per second · errorUtilizationPenalty)
 *
 * A weight counts `blackoutMs` (10,000) after an instance's first report, which may be far off; and no longer when it hasn't reported for
 * `weightExpirationMs` (180,000). Weights are taken over every `weightUpdateMs` (1,000, at least 100). Who has none gets the mean of the
 * others'; with fewer than two known it is plain round-robin. The weights of the registry don't count, but 0 takes no traffic. The order is
 * `staticStride`'s; it begins at random.
 */
export const weightedRoundRobin: BalancerPolicy = ({ random }, { weightedRoundRobin: settings } = {}) => {
  const differences = latestSplices();
  const among = eligible(differences);
  const known = new Reports(settings ?? {});
  const updateUs = Math.max(100, settings?.weightUpdateMs ?? 1000) * 1000;
  const membership = new Membership<Share>(
    { enter: (endpoint) => ({ endpoint, share: mean }), leave: () => undefined },
    differences,
  );
  let mean = shareMax;
  let nextUs = -Infinity;
  let sequence = random.uint32();
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick({ clock }) {
        if (pool.length < 2) {
          if (pool[0] !== undefined) known.listen(pool[0].stats);
          return pool[0];
        }
        for (const { at, added } of membership.become(pool)) {
          for (let index = at; index < at + added; index++) known.listen(pool[index]!.stats);
        }
        const { members } = membership;
        const nowUs = clock.nowUs();
        if (nowUs >= nextUs) {
          nextUs = nowUs + updateUs;
          mean = scale(members, known, nowUs);
        }
        sequence = staticStride(members, sequence);
        return members[sequence++ % members.length]!.endpoint;
      },
    };
  };
};

/** An endpoint and its weight, as a part of `shareMax`. */
interface Share extends Member {
  readonly endpoint: Endpoint;
  share: number;
}

const shareMax = 0xffff;
const weightMax = 1e12;
/**
 * A weight is held between so many times the mean, as gRPC's C++ and Go do: or the many light ones would be asked in vain for each pick.
 */
const [ofMeanMin, ofMeanMax] = [0.01, 10];

/**
 * The next turn from `sequence` on (A58): in turn number `sequence` endpoint i = sequence mod n is picked in its generation
 * g = ⌊sequence / n⌋ if (share · g + i · 32767) mod 65535 ≥ 65535 − share; the heaviest always is. Without a memory but the number, and
 * what each one gets is spread evenly.
 */
export function staticStride(shares: readonly { readonly share: number }[], sequence: number): number {
  const { length } = shares;
  for (let turn = sequence; ; turn++) {
    const index = turn % length;
    const generation = Math.floor(turn / length);
    const { share } = shares[index]!;
    if ((share * generation + index * 0x7fff) % shareMax >= shareMax - share) return turn;
  }
}

/** Gives everybody its share of the largest weight; answers the mean one, which is for whoever has none. */
function scale(members: readonly Share[], known: Reports, nowUs: number): number {
  const weights = members.map(({ endpoint }) => known.weightOf(endpoint.stats, nowUs));
  const positive = weights.filter((weight) => weight > 0);
  const mean = positive.reduce((sum, weight) => sum + weight, 0) / positive.length;
  const held = (weight: number): number => Math.max(mean * ofMeanMin, Math.min(mean * ofMeanMax, weight));
  const most = positive.reduce((max, weight) => Math.max(max, held(weight)), 0);
  const shareOf = (weight: number): number => Math.round((held(weight) / most) * shareMax);
  for (const [index, member] of members.entries()) {
    const weight = weights[index]!;
    // One weight alone says nothing of how others compare.
    member.share = positive.length < 2 ? shareMax : shareOf(weight > 0 ? weight : mean);
  }
  return positive.length < 2 ? shareMax : shareOf(mean);
}

/** What instances reported, by their statistics, which outlive membership changes. */
export class Reports {
  readonly #blackoutUs: number;
  readonly #expirationUs: number;
  readonly #penalty: number;
  readonly #reports = new WeakMap<EndpointStats, Weight>();

  constructor({
    blackoutMs = 10_000,
    weightExpirationMs = 180_000,
    errorUtilizationPenalty = 1,
  }: WeightedRoundRobinSettings) {
    this.#blackoutUs = blackoutMs * 1000;
    this.#expirationUs = weightExpirationMs * 1000;
    this.#penalty = errorUtilizationPenalty;
  }

  /** Hears what this instance reports from now on. */
  listen(stats: EndpointStats): void {
    if (this.#reports.has(stats)) return;
    const weight: Weight = { value: 0, sinceUs: undefined, lastUs: -Infinity };
    this.#reports.set(stats, weight);
    stats.observers.push((end) => this.#hear(weight, end));
  }

  /** 0 where none is known. */
  weightOf(stats: EndpointStats, nowUs: number): number {
    const weight = this.#reports.get(stats);
    if (weight?.sinceUs === undefined) return 0;
    if (nowUs - weight.lastUs >= this.#expirationUs) {
      weight.sinceUs = undefined;
      return 0;
    }
    return nowUs - weight.sinceUs < this.#blackoutUs ? 0 : weight.value;
  }

  #hear(weight: Weight, { trailers, endUs }: AttemptEnd): void {
    const report = readReport(trailers);
    if (report === undefined || report.perSecond === 0 || report.utilization === 0) return;
    const { perSecond, utilization, errorsPerSecond } = report;
    const value = perSecond / (utilization + (errorsPerSecond / perSecond) * this.#penalty);
    // Beyond anything that could be true, and sums of it have no digits left for the others.
    if (value > weightMax || value === 0) return;
    weight.value = value;
    weight.sinceUs ??= endUs;
    weight.lastUs = endUs;
  }
}

interface Weight {
  value: number;
  /** Since when it is known, and when it was last told. */
  sinceUs: number | undefined;
  lastUs: number;
}
