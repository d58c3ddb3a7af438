/** One run's part in a round of runs side by side: see `rounds.ts` of the command line. */
export interface Turn {
  /** Its fleet is warm: resolves when every other's is. */
  begin(): Promise<void>;
  /** Its load is through: resolves when every other's is. */
  end(): Promise<void>;
  /** It takes no more part: nobody waits for it. */
  leave(): void;
}

type Gate = "begin" | "end";

/** The turns of so many runs. */
export function turnsOf(runs: number): readonly Turn[] {
  const members = new Set(Array.from({ length: runs }, (_, index) => index));
  const gates = { begin: new Map<number, () => void>(), end: new Map<number, () => void>() };
  const openWhereAllAre = (): void => {
    for (const waiting of Object.values(gates)) {
      if ([...members].some((member) => !waiting.has(member))) continue;
      for (const open of waiting.values()) open();
    }
  };
  const arrive = (member: number, gate: Gate): Promise<void> =>
    new Promise((resolve) => {
      gates[gate].set(member, resolve);
      openWhereAllAre();
    });
  return [...members].map((member) => ({
    begin: () => arrive(member, "begin"),
    end: () => arrive(member, "end"),
    leave: () => {
      members.delete(member);
      openWhereAllAre();
    },
  }));
}
