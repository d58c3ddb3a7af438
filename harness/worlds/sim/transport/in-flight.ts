/** A call in flight on a connection, as its list keeps it. */
export interface InFlight<T> {
  earlier: T | undefined;
  later: T | undefined;
  isListed: boolean;
}

/**
 * The calls in flight on one end of a connection, in the order in which they began. The calls are the list's own nodes: most
 * connections have one call or none, and an array or a set would be allocated anew for each.
 */
export class InFlightList<T extends InFlight<T>> {
  #first: T | undefined;
  #last: T | undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  add(call: T): void {
    call.isListed = true;
    call.earlier = this.#last;
    if (this.#last === undefined) this.#first = call;
    else this.#last.later = call;
    this.#last = call;
  }

  /** False when it isn't there. */
  remove(call: T): boolean {
    if (!call.isListed) return false;
    const { earlier, later } = call;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    call.isListed = false;
    call.earlier = undefined;
    call.later = undefined;
    return true;
  }

  /** A copy, for loops whose bodies take calls out. */
  all(): readonly T[] {
    const calls: T[] = [];
    for (let call = this.#first; call !== undefined; call = call.later) calls.push(call);
    return calls;
  }
}
