import type { LinkPlan } from "../scenario/plan.ts";
import type { Direction, LinkShape, RunningFleet } from "../worlds/world.ts";

/** Takes a fault away again. */
export type Lift = () => Promise<void>;

/** The faults that are on each link now: several at a time add up to one shape, and each can be lifted by itself. */
export class LinkShapes {
  readonly #fleet: RunningFleet;
  readonly #active = new Map<string, Set<LinkShape>>();

  constructor(fleet: RunningFleet) {
    this.#fleet = fleet;
  }

  /** Adds `shape` to every link; the answer takes it off again. */
  async add(links: readonly LinkPlan[], shape: LinkShape): Promise<Lift> {
    // Each fault is an object of its own, so that two equal ones are lifted one by one.
    const own = { ...shape };
    await Promise.all(links.map((link) => this.#change(link, (shapes) => shapes.add(own))));
    return async () => {
      await Promise.all(links.map((link) => this.#change(link, (shapes) => shapes.delete(own))));
    };
  }

  async #change(link: LinkPlan, change: (shapes: Set<LinkShape>) => unknown): Promise<void> {
    const key = `${link.from} ${link.to}`;
    let shapes = this.#active.get(key);
    if (shapes === undefined) this.#active.set(key, (shapes = new Set()));
    change(shapes);
    await this.#fleet.link(link.from, link.to).shape([...shapes].reduce(combine, {}));
  }
}

/** Two faults at once: delays and losses add up, the tighter limit holds. */
export function combine(a: LinkShape, b: LinkShape): LinkShape {
  const latency = combineLatency(a.latency, b.latency);
  const bandwidth = smaller(a.bandwidthBytesPerSecond, b.bandwidthBytesPerSecond);
  const slowCloseUs = larger(a.slowCloseUs, b.slowCloseUs);
  const loss = 1 - (1 - (a.lossProbability ?? 0)) * (1 - (b.lossProbability ?? 0));
  const cut = combineCut(a.cut, b.cut);
  const isRefusing = a.isRefusing === true || b.isRefusing === true;
  return {
    ...(latency && { latency }),
    ...(bandwidth !== undefined && { bandwidthBytesPerSecond: bandwidth }),
    ...(loss > 0 && { lossProbability: loss }),
    ...(cut && { cut }),
    ...(isRefusing && { isRefusing }),
    ...(slowCloseUs !== undefined && { slowCloseUs }),
  };
}

function combineLatency(a: LinkShape["latency"], b: LinkShape["latency"]): LinkShape["latency"] {
  if (a === undefined || b === undefined) return a ?? b;
  return { addUs: a.addUs + b.addUs, jitterUs: a.jitterUs + b.jitterUs, distribution: b.distribution };
}

function combineCut(a: Direction | undefined, b: Direction | undefined): Direction | undefined {
  if (a === undefined || b === undefined || a === b) return a ?? b;
  return "both";
}

const smaller = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);

const larger = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
