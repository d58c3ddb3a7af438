/** What the simulator needs of the machine that it runs on. None of it influences a result. */
export interface Host {
  /** Calls `fn` soon, from a macrotask. */
  enter(fn: () => void): void;
  /**
   * Runs every pending microtask now; may be called inside `enter` only. Absent where the host can't: the simulator then enters
   * a macrotask after each event, with the same results at a quarter of the speed.
   */
  readonly drain?: (() => void) | undefined;
  /**
   * Runs `fn`, inside `enter`, and cuts it off where it hasn't come back after `ms` of real time: false then. Absent where the host can't,
   * which then stands still with it.
   */
  readonly within?: ((ms: number, fn: () => void) => boolean) | undefined;
  /** Real milliseconds, to know when to let the host breathe. */
  nowMs(): number;
}
