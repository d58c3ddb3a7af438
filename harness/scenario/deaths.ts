/** Kinds of faults that end their target's process without a goodbye; with `for` it is started again afterwards. */
export const isDeath = (kind: string): boolean => kind === "kill" || kind === "torn-write" || kind === "lost-unsynced";
