import type { History } from "../history/history.ts";
import type { Bilingual, Scenario } from "../scenario/schema.ts";

/**
 * One thing that service governance promises, and what was found of it in a foreign runtime. Its scenario's checks hold exactly
 * where the promise is kept.
 */
export interface Property {
  /** "round-robin-interface-level": its file's name. */
  readonly name: string;
  readonly area: Area;
  /** What should hold, in one sentence. */
  readonly promise: Bilingual;
  /** What the version that it was written against does. */
  readonly expected: "holds" | "fails";
  /** Where it fails: how, and why. */
  readonly finding?: Bilingual;
  /** Reports of the same, by others, also for Dubbo's other runtimes. Where it fails: empty where none is known. */
  readonly issues?: readonly string[];
  readonly scenario: Scenario;
  /** Says what a history means. Default: a run that passes holds, one that fails or in which a foreign node dies fails. */
  readonly measure?: (history: History) => Measurement;
}

export const areas = ["registration", "balancing", "routing", "clusters", "life"] as const;
export type Area = (typeof areas)[number];

/** What one run showed. */
export interface Measurement {
  readonly outcome: "holds" | "fails" | "unmeasured";
  readonly evidence: Bilingual;
}

/** A property, checked as far as types go; a file's default export. */
export function property(definition: Omit<Property, "name">): Property {
  return { name: definition.scenario.name, ...definition };
}
