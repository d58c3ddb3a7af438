import type { Call } from "../call/call.ts";
import type { Clock } from "../ports/clock.ts";
import type { RegistryState } from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";

/** Whether a registry's client reaches its registry: told to telemetry, and waited for. `closed` is final. */
export class Availability {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #waiting = new Set<() => void>();
  #state: RegistryState = "connecting";
  #trouble: string | undefined;

  constructor(clock: Clock, telemetry: Telemetry) {
    this.#clock = clock;
    this.#telemetry = telemetry;
  }

  get state(): RegistryState {
    return this.#state;
  }

  /** Why it isn't reached, for people. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  become(state: Exclude<RegistryState, "connecting">, trouble?: string): void {
    this.#trouble = trouble;
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#telemetry.emit({ type: "registry", atUs: this.#clock.nowUs(), state });
    if (state === "connected") for (const proceed of [...this.#waiting]) proceed();
  }

  /** Resolves as soon as the registry is reached; rejects with the reason of the call that is cancelled before. */
  async connected(...calls: readonly Call[]): Promise<void> {
    for (;;) {
      for (const { reason } of calls) if (reason !== undefined) throw reason;
      if (this.#state === "connected") return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          for (const leave of leaving) leave();
          resolve();
        };
        this.#waiting.add(done);
        const leaving = calls.map((call) => call.onCancel(done));
      });
    }
  }
}
