/**
 * An entry of a document's history in Nacos. The entries are in the order in which the server made the changes.
 *
 * Nacos 2.2.4 writes an entry for a conditional publish that came too late, too, and tells its client that it was done. So a client
 * of ours leaves in the entry on which change its publish was made: from that, anybody sees which ones held.
 */
export interface Change {
  /** Its number: it grows, and is another document's in between. */
  readonly id: number;
  /** Who made it, as the client said: from our own the publish's mark. */
  readonly mark: string;
}

/** The mark of a publish; `base` is the number of the change that it must follow, if it is a conditional one. */
export function markOf(publish: string, base?: number): string {
  return base === undefined ? publish : `${publish} if ${base}`;
}

/**
 * The number of the latest change, up to the one with the number `upTo`, that made the document what it was then: a publish that
 * had to follow another one, and didn't, changed nothing. 0: none did. Undefined: `changes` don't go back far enough to tell.
 * They come latest first, and are all that there were if `areAll`.
 */
export function latestThatHeld(changes: readonly Change[], upTo: number, areAll: boolean): number | undefined {
  for (const [index, { id, mark }] of changes.entries()) {
    if (id > upTo) continue;
    const base = baseOf(mark);
    if (base === undefined) return id;
    const older = changes.slice(index + 1);
    const end = older.findIndex((change) => change.id <= base);
    const between = end < 0 ? older : older.slice(0, end);
    // One that had to follow an older change than this one's was too late itself.
    if (between.some((change) => (baseOf(change.mark) ?? base) >= base)) continue;
    return end < 0 && !areAll ? undefined : id;
  }
  return areAll ? 0 : undefined;
}

function baseOf(mark: string): number | undefined {
  const digits = / if (\d+)$/.exec(mark)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
