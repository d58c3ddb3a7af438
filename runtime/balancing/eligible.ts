import type { Endpoint } from "../discovery/endpoint.ts";
import { splices } from "./splices.ts";

/**
 * The endpoints that may be picked: those with a weight above 0. The same array when that is every one. Of a list that differs little
 * from the one before only the difference is looked at, as long as everybody has a weight. `differences`: what compares lists.
 */
export function eligible(differences = splices): (endpoints: readonly Endpoint[]) => readonly Endpoint[] {
  /** Everybody in it has a weight. */
  let known: readonly Endpoint[] = [];
  return (endpoints) => {
    if (endpoints !== known) {
      const found = differences(known, endpoints);
      if (!found.every(({ at, added }) => haveWeight(endpoints, at, at + added)))
        return endpoints.filter(({ weight }) => weight > 0);
      known = endpoints;
    }
    return endpoints;
  };
}

function haveWeight(endpoints: readonly Endpoint[], from: number, to: number): boolean {
  for (let index = from; index < to; index++) if (endpoints[index]!.weight <= 0) return false;
  return true;
}
