import type { Endpoint } from "../discovery/endpoint.ts";
import { splices, type Splice } from "./splices.ts";

/** What a balancer keeps of an endpoint while it is listed. */
export interface Member {
  readonly endpoint: Endpoint;
}

/** What happens to what a balancer keeps when the list changes. Who moves within the list leaves and enters. */
export interface MembershipChanges<M extends Member> {
  readonly enter: (endpoint: Endpoint) => M;
  readonly leave: (member: M) => void;
}

const nothing: readonly Splice[] = [];
/** More than so many are not handed to a function as its arguments. */
const argumentsMax = 1024;

/**
 * The list that a balancer's memory stands for at the moment, changed into the next one step by step: of 100,000 instances of which one
 * changed, one leaves and enters. Pickers share it: each turns it into its own list before it picks, which costs nothing while they are
 * the same array. Comparing is O(n) over identities (see `splices`), changing is as much as differs.
 */
export class Membership<M extends Member> {
  /** In the order of the list. */
  members: M[] = [];
  #list: readonly Endpoint[] = [];
  readonly #changes: MembershipChanges<M>;
  readonly #differences: typeof splices;

  /** `differences`: what compares lists, where others ask it the same. */
  constructor(changes: MembershipChanges<M>, differences: typeof splices = splices) {
    this.#changes = changes;
    this.#differences = differences;
  }

  /** Makes `list` the current one. Answers what is different from before. */
  become(list: readonly Endpoint[]): readonly Splice[] {
    const before = this.#list;
    if (before === list) return nothing;
    const found = this.#differences(before, list);
    this.#list = list;
    // All that leave do so before others enter: an identity may come back as another object, and finds what was kept of it.
    let shift = 0;
    for (const { at, removed, added } of found) {
      for (let index = at - shift; index < at - shift + removed; index++) this.#changes.leave(this.members[index]!);
      shift += added - removed;
    }
    for (const splice of found) this.#replace(splice, list);
    return found;
  }

  #replace({ at, removed, added }: Splice, list: readonly Endpoint[]): void {
    const entered: M[] = [];
    for (let index = at; index < at + added; index++) entered.push(this.#changes.enter(list[index]!));
    if (added <= argumentsMax) this.members.splice(at, removed, ...entered);
    else this.members = [...this.members.slice(0, at), ...entered, ...this.members.slice(at + removed)];
  }
}
