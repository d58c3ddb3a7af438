import { Call } from "../call/call.ts";
import { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { AttemptOutcome, Attempts, SendOptions } from "./cluster.ts";

/** Attempts of one logical call that are under way at the same time: one of them wins, and the others are cancelled. */
export class Race {
  readonly #attempts: Attempts;
  readonly #running = new Set<Call>();

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** Attempts that haven't ended. */
  get size(): number {
    return this.#running.size;
  }

  /** Begins one; its outcome is for `onEnd`, unless the race is over by then. */
  start(endpoint: Endpoint, options: SendOptions, onEnd: (outcome: AttemptOutcome) => void): void {
    const { clock, service, method, request, id } = this.#attempts.call;
    const leg = new Call({ clock, service, method, request, id, parent: this.#attempts.call });
    this.#running.add(leg);
    void this.#attempts.send(endpoint, { ...options, under: leg }).then((outcome) => {
      // One that was cancelled has lost already.
      if (!this.#running.delete(leg)) return;
      // A stream's messages go on to come under it: it ends with the logical call.
      if (outcome.kind === "error" || outcome.response.kind === "unary") leg.end();
      onEnd(outcome);
    });
  }

  /** Cancels whatever is still under way. They lost, they didn't fail: nobody counts them as failures. */
  over(): void {
    const losers = [...this.#running];
    this.#running.clear();
    for (const leg of losers) leg.cancel(new RpcError("another attempt decided the call", { code: "CANCELLED" }));
  }
}
