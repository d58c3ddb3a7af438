/** A stretch of time, its ends included. */
export interface Span {
  readonly beginUs: number;
  readonly endUs: number;
}

/**
 * Deals items out to places, at most one to each: one fits where its time lies within the place's. Answers which places, and which items,
 * are left over. No way leaves fewer: each item, as they begin, goes to the place that ends first of those where it fits, and whatever
 * begins later would fit into the others as well.
 */
export function deal<Item, Place extends Span>(
  items: readonly Item[],
  places: readonly Place[],
  timeOf: (item: Item) => Span,
): { readonly items: readonly Item[]; readonly places: readonly Place[] } {
  const left: { readonly items: Item[]; readonly places: Place[] } = { items: [], places: [] };
  const toCome = places.toSorted((a, b) => a.beginUs - b.beginUs);
  const open = new Set<Place>();
  let next = 0;
  const timed = items.map((item) => ({ item, ...timeOf(item) }));
  for (const { item, beginUs, endUs } of timed.toSorted((a, b) => a.beginUs - b.beginUs)) {
    for (; next < toCome.length && toCome[next]!.beginUs <= beginUs; next++) open.add(toCome[next]!);
    let best: Place | undefined;
    for (const place of open) {
      if (place.endUs < beginUs) {
        open.delete(place);
        left.places.push(place);
      } else if (place.endUs >= endUs && (best === undefined || place.endUs < best.endUs)) best = place;
    }
    if (best === undefined) left.items.push(item);
    else open.delete(best);
  }
  left.places.push(...open, ...toCome.slice(next));
  return left;
}
