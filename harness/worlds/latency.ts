import type { Random } from "../../runtime/ports/random.ts";
import { sample } from "../../services/distribution.ts";
import type { LinkShape } from "./world.ts";

/** One draw of the delay that a shaped link adds, in whole microseconds, never negative: the same formula in every world. */
export function sampleAddedLatency({ addUs, jitterUs, distribution }: Latency, random: Random): number {
  if (jitterUs === 0) return addUs;
  switch (distribution) {
    case "uniform":
      return Math.max(0, sample({ kind: "uniform", fromUs: addUs - jitterUs, toUs: addUs + jitterUs }, random));
    case "normal":
      return sample({ kind: "normal", meanUs: addUs, sdUs: jitterUs }, random);
    case "exponential":
      return addUs + sample({ kind: "exponential", meanUs: jitterUs }, random);
    case "pareto":
      // Its mean is minUs · shape / (shape - 1).
      return addUs + sample({ kind: "pareto", minUs: (jitterUs * 2) / 3, shape: 3 }, random);
  }
}

type Latency = NonNullable<LinkShape["latency"]>;
