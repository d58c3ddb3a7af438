import type { Endpoint } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/**
 * Smooth weighted round-robin (nginx 1.3.1, https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1):
 * in every cycle of sum-of-weights picks each endpoint is picked exactly weight times, and a heavy one never in a row where
 * that can be avoided: weights 5, 1, 1 give a a b a c a a. Weight 0 takes no traffic; with no weight left nothing is picked.
 * The position belongs to the balancer, so a new picker (other instances, other weights, a retry's subset) goes on from
 * there. A pick is O(n).
 */
export const smoothWeightedRoundRobin: BalancerPolicy = () => {
  const positions = new Positions();
  return (endpoints) => {
    const pool = eligible(endpoints);
    const turns = positions.of(pool);
    const weights = pool.map((endpoint) => endpoint.weight);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return {
      pick() {
        let best = 0;
        for (let index = 0; index < turns.length; index++) {
          turns[index]!.credit += weights[index]!;
          // Strictly: of equal ones the first wins.
          if (turns[index]!.credit > turns[best]!.credit) best = index;
        }
        const chosen = turns[best];
        if (chosen !== undefined) chosen.credit -= total;
        return pool[best];
      },
    };
  };
};

/** How far an endpoint is behind its share (above 0) or ahead of it; nginx's `current_weight`. */
interface Turn {
  credit: number;
  usedAt: number;
}

/** Every endpoint's turn by its identity. Identities that are long gone are forgotten, so that a fleet may change for years. */
class Positions {
  readonly #turns = new Map<string, Turn>();
  #built = 0;
  #turnsMax = 4096;

  of(endpoints: readonly Endpoint[]): readonly Turn[] {
    const usedAt = ++this.#built;
    const turns = endpoints.map(({ key }) => {
      let turn = this.#turns.get(key);
      if (turn === undefined) this.#turns.set(key, (turn = { credit: 0, usedAt }));
      turn.usedAt = usedAt;
      return turn;
    });
    // Four times the largest list: a subset's picker never makes the others forget where they stood.
    this.#turnsMax = Math.max(this.#turnsMax, 4 * endpoints.length);
    if (this.#turns.size > this.#turnsMax) this.#forgetOldest();
    return turns;
  }

  #forgetOldest(): void {
    const oldestFirst = [...this.#turns].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key] of oldestFirst.slice(0, oldestFirst.length / 2)) this.#turns.delete(key);
  }
}
