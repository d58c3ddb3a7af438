import type { History } from "../history/history.ts";
import type { Effect, Observation } from "./fault.ts";

/**
 * Whether a fault of the registry took effect, from what its clients report that they were told (`push` records): those that it
 * touches, against what they were told before, what other clients were told of the same version, and in `sim` the same seed without
 * the fault.
 */
export interface Told {
  /** The clients that the fault touches. */
  readonly nodes: readonly string[];
  readonly service: string;
}

type Push = History["pushes"][number];

/** For faults that keep changes from their clients: others heard of one, they didn't. */
export function missedChanges(seen: Observation, told: Told): Effect {
  const { history, fromUs, toUs, control } = seen;
  const heard = newsTo(history, told, fromUs, toUs);
  const observers = seen.isOnlyControlValid === true ? { ...told, nodes: [] } : othersThan(told, history);
  const others = newsTo(history, observers, fromUs, toUs);
  const without = control === undefined ? 0 : newsTo(control, told, fromUs, toUs);
  const evidence =
    `${heard} changes of ${told.service} told while it lasted, ${others} to other clients` +
    (control === undefined ? "" : `, ${without} in the same run without the fault`);
  if (heard > 0) return { effect: "none", evidence };
  if (others + without > 0) return { effect: "confirmed", evidence };
  // Where nothing changed, there was nothing to miss; where nobody else listened, nobody knows.
  return { effect: observers.nodes.length > 0 || control !== undefined ? "none" : "inconclusive", evidence };
}

/** For faults that make changes late: other clients, or the same ones without the fault, heard of the same version earlier. */
export function lateChanges(seen: Observation, told: Told, byUs: number): Effect {
  const { history, fromUs, toUs, control } = seen;
  const others = seen.isOnlyControlValid === true ? { ...told, nodes: [] } : othersThan(told, history);
  const delays = pushesTo(history, told, fromUs, Infinity).flatMap(({ version, atUs }) => {
    const early = [
      ...pushesTo(history, others, fromUs, toUs),
      ...(control === undefined ? [] : pushesTo(control, told, fromUs, toUs)),
    ].find((push) => push.version === version);
    return early === undefined ? [] : [atUs - early.atUs];
  });
  if (delays.length === 0) {
    const isKnown = others.nodes.length > 0 || control !== undefined;
    return { effect: isKnown ? "none" : "inconclusive", evidence: "no change came that others heard of meanwhile" };
  }
  const shortestUs = Math.min(...delays);
  const evidence = `${delays.length} changes came at least ${Math.round(shortestUs / 1000)} ms later than to others`;
  // Timers are never early, but the others' own way takes a moment.
  if (shortestUs >= 0.8 * byUs) return { effect: "confirmed", evidence };
  return { effect: shortestUs < byUs / 2 ? "none" : "inconclusive", evidence };
}

/** For faults that tell a change more than once. */
export function repeatedChanges({ history, orderedUs, fromUs, toUs }: Observation, told: Told): Effect {
  const during = pushesTo(history, told, fromUs, toUs);
  const repeats = repeatsIn(during);
  const before = repeatsIn(pushesTo(history, told, -Infinity, orderedUs));
  const evidence = `${repeats} of ${during.length} messages repeated an earlier one, ${before} before`;
  if (repeats > 0 && before === 0) return { effect: "confirmed", evidence };
  return { effect: repeats === 0 ? "none" : "inconclusive", evidence };
}

/** For faults that leave instances out: fewer than the client was told before, while others are told of more, or it is afterwards. */
export function shorterLists(seen: Observation, told: Told): Effect {
  const { history, orderedUs, fromUs, toUs, control } = seen;
  const during = pushesTo(history, told, orderedUs, toUs);
  const shortest = during.toSorted((a, b) => a.instances.length - b.instances.length)[0];
  if (shortest === undefined) return { effect: "none", evidence: "no list was pushed while it lasted" };
  const listed = shortest.instances.length;
  const before = lastTo(history, shortest.node, told.service, orderedUs)?.instances.length ?? 0;
  const isAmongOthers = pushesTo(history, othersThan(told, history), fromUs, toUs).some(
    ({ version, instances }) => version === shortest.version && instances.length > listed,
  );
  const after = pushesTo(history, { ...told, nodes: [shortest.node] }, toUs, toUs + 1_000_000);
  const isBackAfter = after.some(({ instances }) => instances.length > listed);
  const without = control && lastTo(control, shortest.node, told.service, shortest.atUs)?.instances.length;
  const evidence = `${listed} of ${told.service} listed while it lasted, ${before} before${without === undefined ? "" : `, ${without} in the same run without the fault`}`;
  if (without !== undefined && without > listed) return { effect: "confirmed", evidence };
  const isShown = seen.isOnlyControlValid !== true && before > listed && (isAmongOthers || isBackAfter);
  if (isShown) return { effect: "confirmed", evidence };
  return { effect: listed >= before ? "none" : "inconclusive", evidence };
}

/** For faults that tell each client something else: the same version, and not the same instances. */
export function differingLists({ history, orderedUs, toUs }: Observation, told: Told): Effect {
  const during = differencesIn(pushesTo(history, told, orderedUs, toUs));
  const before = differencesIn(pushesTo(history, told, -Infinity, orderedUs));
  const evidence = `${during.differing} of ${during.versions} versions told differently while it lasted, ${before.differing} of ${before.versions} before`;
  if (during.differing > 0 && before.differing === 0) return { effect: "confirmed", evidence };
  return { effect: during.versions > 0 && during.differing === 0 ? "none" : "inconclusive", evidence };
}

/** For faults that bring back who has gone: somebody who was told without them is told of them again. */
export function returnedInstances({ history, orderedUs, toUs, control }: Observation, ids: readonly string[]): Effect {
  const lists = (push: Push): boolean => ids.some((id) => push.instances.includes(id));
  const isAbout = (push: Push): boolean => ids.some((id) => push.service === serviceOf(id));
  const during = history.pushes.filter((push) => isAbout(push) && push.atUs >= orderedUs && push.atUs < toUs);
  const returned = during.filter((push) => {
    const last = lastTo(history, push.node, push.service, orderedUs);
    return lists(push) && last !== undefined && !lists(last);
  }).length;
  const without = control?.pushes.filter(
    (push) => isAbout(push) && push.atUs >= orderedUs && push.atUs < toUs && lists(push),
  ).length;
  const evidence =
    `${returned} of ${during.length} lists while it lasted have them again` +
    (without === undefined ? "" : `, ${without} in the same run without the fault`);
  if (returned > 0 && (without ?? 0) === 0) return { effect: "confirmed", evidence };
  return { effect: returned === 0 && during.length > 0 ? "none" : "inconclusive", evidence };
}

/** For faults that end sessions: their clients say that they lost one, others don't, and neither did they before. */
export function lostSessions(seen: Observation, nodes: readonly string[]): Effect {
  const { history, orderedUs, toUs, control } = seen;
  const lostBy = (source: History, fromUs: number, untilUs: number, isTouched: boolean): number =>
    new Set(
      source.registryStates
        .filter(
          ({ state, atUs, node }) =>
            state === "expired" && atUs >= fromUs && atUs < untilUs && nodes.includes(node) === isTouched,
        )
        .map(({ node }) => node),
    ).size;
  const during = lostBy(history, orderedUs, toUs, true);
  const before = lostBy(history, -Infinity, orderedUs, true);
  const others = lostBy(history, orderedUs, toUs, false);
  const evidence = `${during} of ${nodes.length} clients lost their sessions, ${before} before, and ${others} that it didn't touch`;
  if (during === 0) return { effect: "none", evidence };
  const without = control && lostBy(control, orderedUs, toUs, true);
  const isShown = without === undefined ? before + others === 0 && seen.isOnlyControlValid !== true : without < during;
  return { effect: isShown ? "confirmed" : "inconclusive", evidence };
}

/** For faults of a registration: how often callers' directories lost one of these instances. */
export function departures(seen: Observation, nodes: readonly string[], atLeast: number): Effect {
  const { history, orderedUs, toUs, control } = seen;
  const lostIn = (source: History, fromUs: number, untilUs: number): number => {
    const byCaller = new Map<string, number>();
    for (const { node, atUs, removed } of source.memberships) {
      if (atUs < fromUs || atUs >= untilUs) continue;
      const lost = removed.filter(({ id }) => nodes.includes(id)).length;
      byCaller.set(node, (byCaller.get(node) ?? 0) + lost);
    }
    return Math.max(0, ...byCaller.values());
  };
  const during = lostIn(history, orderedUs, toUs);
  const before = lostIn(history, orderedUs - (toUs - orderedUs), orderedUs);
  const without = control && lostIn(control, orderedUs, toUs);
  const evidence =
    `${during} departures from a caller's list while it lasted, ${before} in as long before` +
    (without === undefined ? "" : `, ${without} in the same run without the fault`);
  if (during < atLeast) return { effect: during === 0 ? "none" : "inconclusive", evidence };
  const isShown = without === undefined ? before === 0 && seen.isOnlyControlValid !== true : without < during;
  return { effect: isShown ? "confirmed" : "inconclusive", evidence };
}

function pushesTo(history: History, { nodes, service }: Told, fromUs: number, toUs: number): readonly Push[] {
  return history.pushes.filter(
    (push) => push.service === service && nodes.includes(push.node) && push.atUs >= fromUs && push.atUs < toUs,
  );
}

/** Messages of a version that their receiver hadn't got before. */
function newsTo(history: History, told: Told, fromUs: number, toUs: number): number {
  return pushesTo(history, told, fromUs, toUs).filter(
    (push) => push.version > highestTo(history, push.node, told.service, fromUs),
  ).length;
}

/** The others that were told of the service. */
function othersThan({ nodes, service }: Told, { pushes }: History): Told {
  const others = new Set(pushes.filter((push) => push.service === service).map(({ node }) => node));
  return { nodes: [...others].filter((node) => !nodes.includes(node)), service };
}

function lastTo({ pushes }: History, node: string, service: string, beforeUs: number): Push | undefined {
  return pushes.findLast((push) => push.node === node && push.service === service && push.atUs < beforeUs);
}

function highestTo({ pushes }: History, node: string, service: string, beforeUs: number): number {
  const earlier = pushes.filter((push) => push.node === node && push.service === service && push.atUs < beforeUs);
  return Math.max(-1, ...earlier.map(({ version }) => version));
}

function repeatsIn(pushes: readonly Push[]): number {
  return pushes.length - new Set(pushes.map(({ node, version }) => `${node} ${version}`)).size;
}

/** Versions that two clients or more were told of, and those of them with different instances. */
function differencesIn(pushes: readonly Push[]): { readonly versions: number; readonly differing: number } {
  const listsOf = new Map<number, string[]>();
  for (const { version, instances } of pushes) {
    const lists = listsOf.get(version);
    const own = instances.toSorted().join(" ");
    if (lists === undefined) listsOf.set(version, [own]);
    else lists.push(own);
  }
  const shared = [...listsOf.values()].filter((lists) => lists.length > 1);
  return { versions: shared.length, differing: shared.filter((lists) => new Set(lists).size > 1).length };
}

const serviceOf = (node: string): string => node.slice(0, node.indexOf("/"));
