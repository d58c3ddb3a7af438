import type { LoadSpec } from "../schema.ts";

/** Calls at even intervals: `constant("80/s").on("storefront").for("8s")`. */
export function constant(rate: string): LoadBuilder {
  return new LoadBuilder({ arrivals: "constant", legs: [{ rate }] });
}

/** Calls as independent people make them (exponential intervals). */
export function poisson(rate: string): LoadBuilder {
  return new LoadBuilder({ arrivals: "poisson", legs: [{ rate }] });
}

type Leg = Partial<LoadSpec["legs"][number]>;
type Unfinished = Omit<Partial<LoadSpec>, "legs"> & { readonly legs: readonly Leg[] };

/** A load that is being described; `scenario` takes its `spec`. Every step answers a new one. */
export class LoadBuilder {
  readonly spec: Unfinished;

  constructor(spec: Unfinished) {
    this.spec = spec;
  }

  /** The consumers that make the calls, together. */
  on(service: string): LoadBuilder {
    return new LoadBuilder({ ...this.spec, on: service });
  }

  /** How long the leg that was described last takes. */
  for(duration: string): LoadBuilder {
    return this.#last({ for: duration });
  }

  /** Goes evenly up or down to `rate`: the leg described last when it has no length yet, else a new one. */
  ramp(rate: string): LoadBuilder {
    const last = this.spec.legs.at(-1)!;
    if (last.for === undefined) return this.#last({ to: rate });
    return this.#next({ ...((last.to ?? last.rate) !== undefined && { rate: last.to ?? last.rate! }), to: rate });
  }

  /** Jumps to `rate`. */
  then(rate: string): LoadBuilder {
    return this.#next({ rate });
  }

  #last(more: Leg): LoadBuilder {
    const { legs, ...rest } = this.spec;
    return new LoadBuilder({ ...rest, legs: [...legs.slice(0, -1), { ...legs.at(-1), ...more }] });
  }

  #next(leg: Leg): LoadBuilder {
    return new LoadBuilder({ ...this.spec, legs: [...this.spec.legs, leg] });
  }
}
