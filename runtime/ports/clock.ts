/** Time as the runtime sees it: real in a process, virtual in the simulator. */
export interface Clock {
  /** Monotonic microseconds, an integer. Subtract two readings of one clock; never store or send one. */
  nowUs(): number;
  /** Resolves after `delayUs` of this clock's time; rejects with the signal's reason. */
  sleep(delayUs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `delayUs`, and no other before what its promises lead to; the answer cancels it (and may be called twice). */
  after(delayUs: number, fn: () => void): () => void;
  /** Milliseconds since the epoch, virtual in the simulator; the only reading that clock faults move. */
  wallMs(): number;
}
