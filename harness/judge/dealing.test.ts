import fc from "fast-check";
import { expect, test } from "vitest";

import { deal, type Span } from "./dealing.ts";

const span: fc.Arbitrary<Span> = fc
  .tuple(fc.nat(12), fc.oneof(fc.nat(6), fc.constant(Infinity)))
  .map(([beginUs, us]) => ({ beginUs, endUs: beginUs + us }));
const spans = fc.array(span, { maxLength: 8 });

const fits = (item: Span, place: Span): boolean => place.beginUs <= item.beginUs && item.endUs <= place.endUs;

/** As many as can be dealt out at all, by augmenting paths (Kuhn). */
function most(items: readonly Span[], places: readonly Span[]): number {
  const holders = new Map<Span, Span>();
  const isDealt = (item: Span, tried: Set<Span>): boolean =>
    places.some((place) => {
      if (!fits(item, place) || tried.has(place)) return false;
      tried.add(place);
      const holder = holders.get(place);
      if (holder !== undefined && !isDealt(holder, tried)) return false;
      holders.set(place, item);
      return true;
    });
  return items.filter((item) => isDealt(item, new Set())).length;
}

test("no way leaves fewer over, and what is left over is what was given", () => {
  fc.assert(
    fc.property(spans, spans, (items, places) => {
      const left = deal(items, places, (item) => item);
      const dealt = most(items, places);
      expect([left.items.length, left.places.length]).toEqual([items.length - dealt, places.length - dealt]);
      expect(new Set([...items, ...left.items]).size).toBe(items.length);
      expect(new Set([...places, ...left.places]).size).toBe(places.length);
      // Those that were dealt out can be.
      const [given, taken] = [
        items.filter((one) => !left.items.includes(one)),
        places.filter((one) => !left.places.includes(one)),
      ];
      expect(most(given, taken)).toBe(dealt);
    }),
    { numRuns: 500 },
  );
});
