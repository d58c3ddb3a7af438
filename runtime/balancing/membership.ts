import type { Endpoint } from "../discovery/endpoint.ts";

/** What a balancer keeps of an endpoint while it is listed. */
export interface Member {
  readonly endpoint: Endpoint;
}

/** What happens to what a balancer keeps when the list changes. */
export interface MembershipChanges<M extends Member> {
  readonly enter: (endpoint: Endpoint) => M;
  readonly leave: (member: M) => void;
}

/**
 * The list that a balancer's memory stands for at the moment, changed into the next one step by step: of 100,000 instances of which one
 * changed, one leaves and enters. Pickers share it: each turns it into its own list before it picks, which costs nothing while they are
 * the same array. Comparing is O(n) over identities, changing is as much as differs.
 */
export class Membership<M extends Member> {
  /** In the order of the list. */
  members: M[] = [];
  #list: readonly Endpoint[] = [];
  readonly #changes: MembershipChanges<M>;

  constructor(changes: MembershipChanges<M>) {
    this.#changes = changes;
  }

  /** Makes `list` the current one. True when it wasn't. */
  become(list: readonly Endpoint[]): boolean {
    const before = this.#list;
    if (before === list) return false;
    const { leave, enter } = this.#changes;
    const old = this.members;
    // Where nothing differs the members stay where they are.
    let start = 0;
    const shorter = Math.min(before.length, list.length);
    while (start < shorter && before[start] === list[start]) start++;
    let end = 0;
    while (end < shorter - start && before[before.length - 1 - end] === list[list.length - 1 - end]) end++;
    const between = old.slice(start, before.length - end);
    const staying = new Map(between.map((member) => [member.endpoint, member]));
    const wanted = list.slice(start, list.length - end);
    const isWanted = new Set(wanted);
    // All that leave do so before others enter: an identity may come back as another object, and finds what was kept of it.
    for (const member of between) if (!isWanted.has(member.endpoint)) leave(member);
    const now = wanted.map((endpoint) => staying.get(endpoint) ?? enter(endpoint));
    this.members = [...old.slice(0, start), ...now, ...old.slice(before.length - end)];
    this.#list = list;
    return true;
  }
}
