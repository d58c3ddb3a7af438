/**
 * Wakes one waiting reader. Rings while nobody waits are remembered as one, so a slow reader of something that changes finds
 * the latest state, and never misses the last change.
 */
export class Bell {
  #hasRung = false;
  #isClosed = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#hasRung = true;
    this.#wakeUp();
  }

  /** Ends every wait: with `error`, or with the answer false. */
  close(error?: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = error;
    this.#wakeUp();
  }

  /** Resolves with true once it rang after the last such answer, with false when it was closed. One wait at a time. */
  async rung(): Promise<boolean> {
    while (!this.#hasRung && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#isClosed) {
      if (this.#error !== undefined) throw this.#error;
      return false;
    }
    this.#hasRung = false;
    return true;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
