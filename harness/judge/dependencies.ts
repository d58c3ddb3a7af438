/**
 * Which anomalies a history of transactions has, by Adya's definitions ("Weak Consistency", 1999) and in Elle's way (Kingsbury and Alvaro,
 * VLDB 2020): every write leaves a version that no other write leaves, so whoever reads a version has read from its writer; the order of
 * a row's versions is known; what follows from what is a graph, and what can't be is a cycle in it.
 */

/** `unknown` ones may have been committed: what they wrote may be read. */
export type TransactionEnd = "committed" | "aborted" | "unknown";

/** What was left in a row. Who brings an older version back, undoes. */
export interface Write {
  /** Undefined: nobody can tell who it was, nor what was there between. */
  readonly by: string | undefined;
  readonly version: number;
}

export interface Read {
  readonly by: string;
  readonly row: string;
  readonly version: number;
  /** Of the writes before it some may not be known: what it saw may have been one of them. */
  readonly isUncertain?: boolean | undefined;
}

export interface Observed {
  /** By transaction; who isn't here is `unknown`. */
  readonly ends: ReadonlyMap<string, TransactionEnd>;
  /** By row, what was there, one after the other. */
  readonly rows: ReadonlyMap<string, readonly Write[]>;
  readonly reads: readonly Read[];
}

/**
 * `garbage-read`: somebody read what nobody has ever written (Elle's name); `dirty-write`: somebody wrote over what was taken back
 * afterwards. `G0`: two wrote over each other, undoing included; `G1a`: read what was taken back; `G1b`: read what its writer has written
 * over itself; `G1c`: two went by each other's writes; `lost-update`: two read the same and both wrote it; `G-single`: saw a state that
 * never was (one anti-dependency); `G2-item`: write skew (two of them, or more).
 */
export const anomalies = [
  "garbage-read",
  "dirty-write",
  "G0",
  "G1a",
  "G1b",
  "G1c",
  "lost-update",
  "G-single",
  "G2-item",
] as const;

export type Anomaly = (typeof anomalies)[number];

/** One that was found, with the least that proves it. */
export interface Finding {
  readonly anomaly: Anomaly;
  /** Who did it; of a cycle, each of its transactions once. */
  readonly by: readonly string[];
  /** Which way one came after the other. For those that are no cycle, the one step. */
  readonly steps: readonly Dependency[];
}

/** `ww`: `to` wrote the next version after `from`'s; `wr`: read `from`'s; `rw`: wrote the next after the one that `from` read. */
export interface Dependency {
  readonly from: string;
  readonly to: string;
  readonly kind: "ww" | "wr" | "rw";
  readonly row: string;
}

/** Each anomaly of these. Transactions that are entangled by cycles are told once, by the gravest. */
export function findingsIn(observed: Observed, wanted: readonly Anomaly[] = anomalies): readonly Finding[] {
  const is = new Set(wanted);
  // Only as far as asked for: what is permitted entangles whole histories.
  const last = cycleKinds.findLastIndex(
    (kind) => is.has(kind.anomaly) || (kind.anomaly === "G-single" && is.has("lost-update")),
  );
  const kinds = cycleKinds.slice(0, last + 1);
  const edges = dependenciesIn(observed).filter(({ kind }) =>
    kinds.some((one) => one.special === kind || one.others.includes(kind)),
  );
  const cycles = [
    ...cyclesIn(writeOrder(observed.rows), [{ anomaly: "G0", special: "ww", others: ["ww"] }]),
    ...cyclesIn(edges, kinds),
  ];
  return [...garbageReads(observed), ...dirtyWrites(observed), ...badReads(observed), ...cycles].filter(({ anomaly }) =>
    is.has(anomaly),
  );
}

/**
 * Cycles of this kind in its purest form, wherever graver ones entangle the same transactions: to show what it is. `G1c` is of reads alone,
 * a `lost-update` in one row; a `G-single` saw by halves what others had written, and in a `G2-item` nobody saw anything of the others.
 */
export function examplesOf(anomaly: keyof typeof purest, observed: Observed): readonly Finding[] {
  const { special, others, isInOneRow = false } = purest[anomaly];
  const edges = dependenciesIn(observed).filter(({ kind }) => kind === special || others.includes(kind));
  const parts = isInOneRow ? [...Map.groupBy(edges, ({ row }) => row).values()] : [edges];
  const kind = { anomaly: anomaly === "lost-update" ? "G-single" : anomaly, special, others } as const;
  return parts.flatMap((part) => cyclesIn(part, [kind])).filter((found) => found.anomaly === anomaly);
}

type Shape = Omit<CycleKind, "anomaly"> & { readonly isInOneRow?: boolean };

const purest: Readonly<Record<"G1c" | "lost-update" | "G-single" | "G2-item", Shape>> = {
  G1c: { special: "wr", others: ["wr"] },
  "lost-update": { special: "rw", others: ["ww"], isInOneRow: true },
  "G-single": { special: "rw", others: ["wr"] },
  "G2-item": { special: "rw", others: ["rw"] },
};

/** "G0: T2 wrote after T1 in x; T1 wrote after T2 in y" */
export function told({ anomaly, steps }: Finding): string {
  const verbs = { ww: "wrote after", wr: "read what", rw: "wrote after what" } as const;
  const parts = steps.map(({ from, to, kind, row }) => {
    if (kind === "ww") return `${to} ${verbs.ww} ${from} in ${row}`;
    if (kind === "wr") return `${to} ${verbs.wr} ${from} had written in ${row}`;
    return `${to} ${verbs.rw} ${from} had read in ${row}`;
  });
  const taken = anomaly === "dirty-write" || anomaly === "G1a" ? `, which was taken back` : "";
  return `${anomaly}: ${parts.join("; ")}${taken}`;
}

function garbageReads({ rows, reads }: Observed): readonly Finding[] {
  const versions = new Map([...rows].map(([row, writes]) => [row, new Set(writes.map(({ version }) => version))]));
  return reads.flatMap(({ by, row, version, isUncertain = false }): readonly Finding[] => {
    if (isUncertain || versions.get(row)?.has(version) === true) return [];
    const from = `nobody (version ${version})`;
    return [{ anomaly: "garbage-read", by: [by], steps: [{ from, to: by, kind: "wr", row }] }];
  });
}

function dirtyWrites({ ends, rows }: Observed): readonly Finding[] {
  return [...rows].flatMap(([row, writes]) => {
    const isUndo = undosIn(writes);
    /** Of those that were aborted, what isn't taken back yet, whoever has written on top of it. */
    let open: { readonly by: string; readonly index: number }[] = [];
    return writes.flatMap(({ by, version }, index): readonly Finding[] => {
      if (by === undefined) {
        open = [];
        return [];
      }
      if (isUndo[index] === true) {
        const restored = writes.findIndex((write) => write.version === version);
        open = open.filter((one) => one.by !== by || one.index <= restored);
        return [];
      }
      const from = open.findLast((one) => one.by !== by)?.by;
      if (ends.get(by) === "aborted") open.push({ by, index });
      return from === undefined
        ? []
        : [{ anomaly: "dirty-write", by: [by], steps: [{ from, to: by, kind: "ww", row }] }];
    });
  });
}

function badReads({ ends, rows, reads }: Observed): readonly Finding[] {
  const versions = new Map([...rows].map(([row, writes]) => [row, writersIn(writes)]));
  return reads.flatMap(({ by, row, version }): readonly Finding[] => {
    const from = versions.get(row)?.get(version);
    if (from === undefined || from.by === by) return [];
    const steps = [{ from: from.by, to: by, kind: "wr", row }] as const;
    if (ends.get(from.by) === "aborted") return [{ anomaly: "G1a", by: [by], steps }];
    return from.isLast ? [] : [{ anomaly: "G1b", by: [by], steps }];
  });
}

/** By version, who wrote it, and whether that was the last that it wrote there. */
function writersIn(writes: readonly Write[]): ReadonlyMap<number, { readonly by: string; readonly isLast: boolean }> {
  const isUndo = undosIn(writes);
  const last = new Map<string, number>();
  for (const [index, { by, version }] of writes.entries())
    if (by !== undefined && !isUndo[index]) last.set(by, version);
  const found = new Map<number, { by: string; isLast: boolean }>();
  for (const [index, { by, version }] of writes.entries()) {
    if (by !== undefined && !isUndo[index]) found.set(version, { by, isLast: last.get(by) === version });
  }
  return found;
}

/** Whether each write brings back what was there before. */
function undosIn(writes: readonly Write[]): readonly boolean[] {
  const seen = new Set<number>();
  return writes.map(({ version }) => {
    const isUndo = seen.has(version);
    seen.add(version);
    return isUndo;
  });
}

/** Who wrote next, whatever became of it: who undoes writes, too. */
function writeOrder(rows: Observed["rows"]): readonly Dependency[] {
  return [...rows].flatMap(([row, writes]) =>
    writes.flatMap(({ by }, index): readonly Dependency[] => {
      const from = writes[index - 1]?.by;
      return from === undefined || by === undefined || from === by ? [] : [{ from, to: by, kind: "ww", row }];
    }),
  );
}

/** Among those that weren't taken back. */
function dependenciesIn({ ends, rows, reads }: Observed): readonly Dependency[] {
  const isKept = (by: string | undefined): boolean => by === undefined || ends.get(by) !== "aborted";
  const kept = new Map(
    [...rows].map(([row, writes]) => {
      const isUndo = undosIn(writes);
      return [row, writes.filter(({ by }, index) => isKept(by) && isUndo[index] === false)];
    }),
  );
  const places = new Map(
    [...kept].map(([row, writes]) => [row, new Map(writes.map(({ version }, index) => [version, index]))]),
  );
  const found = [...writeOrder(kept)];
  for (const { by, row, version } of reads) {
    const writes = kept.get(row) ?? [];
    const index = places.get(row)?.get(version);
    if (index === undefined || !isKept(by)) continue;
    const [writer, next] = [writes[index]!.by, writes[index + 1]?.by];
    if (writer !== undefined && writer !== by) found.push({ from: writer, to: by, kind: "wr", row });
    if (next !== undefined && next !== by) found.push({ from: by, to: next, kind: "rw", row });
  }
  return found;
}

interface CycleKind {
  readonly anomaly: "G0" | "G1c" | "G-single" | "G2-item";
  /** One dependency of this kind is in it, and of the others any number. */
  readonly special: Dependency["kind"];
  readonly others: readonly Dependency["kind"][];
}

/** The gravest first. */
const cycleKinds: readonly CycleKind[] = [
  { anomaly: "G1c", special: "wr", others: ["ww", "wr"] },
  { anomaly: "G-single", special: "rw", others: ["ww", "wr"] },
  { anomaly: "G2-item", special: "rw", others: ["ww", "wr", "rw"] },
];

/** Of each entanglement the shortest cycle of the first kind that it has. */
function cyclesIn(edges: readonly Dependency[], kinds: readonly CycleKind[]): readonly Finding[] {
  return entangled(edges).flatMap((members): readonly Finding[] => {
    const within = edges.filter(({ from, to }) => members.has(from) && members.has(to));
    for (const { anomaly, ...kind } of kinds) {
      const steps = shortestCycle(within, kind);
      if (steps !== undefined) return [{ anomaly: nameOf(anomaly, steps), by: steps.map(({ from }) => from), steps }];
    }
    return [];
  });
}

/** Who has read a version of a row wrote it over the next one, without having seen that: its update is lost. */
function nameOf(anomaly: CycleKind["anomaly"], steps: readonly Dependency[]): Anomaly {
  if (anomaly !== "G-single" || steps.length !== 2) return anomaly;
  const [one, other] = steps as [Dependency, Dependency];
  const isLost = one.row === other.row && [one.kind, other.kind].every((kind) => kind === "rw" || kind === "ww");
  return isLost ? "lost-update" : anomaly;
}

/** Strongly connected components of two or more (Tarjan 1972), without recursion: histories are long. */
function entangled(edges: readonly Dependency[]): readonly ReadonlySet<string>[] {
  const next = adjacent(edges);
  const [index, low] = [new Map<string, number>(), new Map<string, number>()];
  const stack: string[] = [];
  const isOnStack = new Set<string>();
  const found: ReadonlySet<string>[] = [];
  for (const root of next.keys()) {
    if (index.has(root)) continue;
    const path: { readonly node: string; readonly edges: readonly Dependency[]; at: number }[] = [];
    const enter = (node: string): void => {
      index.set(node, index.size);
      low.set(node, index.get(node)!);
      stack.push(node);
      isOnStack.add(node);
      path.push({ node, edges: next.get(node) ?? [], at: 0 });
    };
    enter(root);
    while (path.length > 0) {
      const top = path.at(-1)!;
      const edge = top.edges[top.at++];
      if (edge !== undefined) {
        if (!index.has(edge.to)) enter(edge.to);
        else if (isOnStack.has(edge.to)) low.set(top.node, Math.min(low.get(top.node)!, index.get(edge.to)!));
        continue;
      }
      path.pop();
      const parent = path.at(-1)?.node;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent)!, low.get(top.node)!));
      if (low.get(top.node) !== index.get(top.node)) continue;
      const members = stack.splice(stack.lastIndexOf(top.node));
      for (const member of members) isOnStack.delete(member);
      if (members.length > 1) found.push(new Set(members));
    }
  }
  return found;
}

/** Steps that are looked at for a shorter cycle than the one that was found: where thousands are entangled, one proves it. */
const effortMax = 1_000_000;

/** One special dependency, and from its end the shortest way back over others, by breadth. */
function shortestCycle(
  edges: readonly Dependency[],
  { special, others }: Pick<CycleKind, "special" | "others">,
): readonly Dependency[] | undefined {
  const next = adjacent(edges.filter(({ kind }) => others.includes(kind)));
  let best: readonly Dependency[] | undefined;
  let effort = 0;
  for (const first of edges.filter(({ kind }) => kind === special)) {
    if (best?.length === 2 || (best !== undefined && effort > effortMax)) break;
    const { way, looked } = shortestWay(next, { from: first.to, to: first.from });
    effort += looked;
    if (way !== undefined && (best === undefined || way.length + 1 < best.length)) best = [first, ...way];
  }
  return best;
}

function shortestWay(
  next: ReadonlyMap<string, readonly Dependency[]>,
  { from, to }: { readonly from: string; readonly to: string },
): { readonly way: readonly Dependency[] | undefined; readonly looked: number } {
  const reachedBy = new Map<string, Dependency>();
  const waiting = [from];
  for (const node of waiting) {
    for (const edge of next.get(node) ?? []) {
      if (edge.to === from || reachedBy.has(edge.to)) continue;
      reachedBy.set(edge.to, edge);
      waiting.push(edge.to);
    }
    if (!reachedBy.has(to)) continue;
    const way: Dependency[] = [];
    for (let at = to; at !== from; at = way.at(-1)!.from) way.push(reachedBy.get(at)!);
    return { way: way.reverse(), looked: reachedBy.size };
  }
  return { way: undefined, looked: reachedBy.size };
}

function adjacent(edges: readonly Dependency[]): ReadonlyMap<string, readonly Dependency[]> {
  const found = new Map<string, Dependency[]>();
  for (const edge of edges) {
    const own = found.get(edge.from);
    if (own === undefined) found.set(edge.from, [edge]);
    else own.push(edge);
  }
  return found;
}
