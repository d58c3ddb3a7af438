import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { reporter, type Guard, type GuardPorts, type Permit } from "./guard.ts";
import { Rejection } from "./outcome.ts";
import type { GuardTable, ProtectionSettings } from "./table.ts";

export interface ProtectionPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly service: string;
  /** `available` may answer otherwise from now on. */
  readonly onChange: () => void;
}

/** All guards of one service, as one. */
export class Protection {
  readonly #guards: readonly Guard[];

  /** Undefined where nothing protects: then nothing is paid for it either. */
  static of(settings: ProtectionSettings, table: GuardTable, ports: ProtectionPorts): Protection | undefined {
    const { clock, random, service, onChange } = ports;
    const common = { clock, service, report: reporter(ports), onChange };
    const guards: Guard[] = [];
    for (const name of Object.keys(table) as (keyof GuardTable)[]) {
      const own = settings[name];
      // The table has matched name and settings.
      const make = table[name] as (settings: unknown, ports: GuardPorts) => Guard;
      if (own !== undefined) guards.push(make(own, { ...common, random: random.fork(name) }));
    }
    return guards.length === 0 ? undefined : new Protection(guards);
  }

  private constructor(guards: readonly Guard[]) {
    this.#guards = guards;
  }

  /** Why nothing is sent to the service now; undefined: something may be. */
  closed(): Rejection | undefined {
    for (const guard of this.#guards) {
      const rejection = guard.closed?.();
      if (rejection !== undefined) return rejection;
    }
    return undefined;
  }

  /** Those of the instances that no guard avoids; all of them where nobody would be left and that guard gives in. */
  available(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    let left = endpoints;
    for (const guard of this.#guards) {
      if (guard.avoids === undefined) continue;
      const kept = left.filter((endpoint) => guard.avoids!(endpoint) === false);
      if (kept.length === left.length) continue;
      if (kept.length > 0 || guard.allAvoided !== undefined) left = kept;
    }
    return left;
  }

  /** Why `available` left nobody of these. */
  allAvoided(endpoints: readonly Endpoint[]): Rejection | undefined {
    for (const guard of this.#guards) {
      const isAvoiding = endpoints.some((endpoint) => guard.avoids?.(endpoint) === true);
      if (isAvoiding && guard.allAvoided !== undefined) return guard.allAvoided();
    }
    return undefined;
  }

  /** Lets an attempt through every guard, or through none. */
  admit(endpoint: Endpoint): Permit | Rejection {
    const permits: Permit[] = [];
    for (const guard of this.#guards) {
      const admitted = guard.admit?.(endpoint);
      if (admitted === undefined) continue;
      if (admitted instanceof Rejection) {
        for (const permit of permits) permit("ignored", 0);
        return admitted;
      }
      permits.push(admitted);
    }
    return (outcome, tookUs) => {
      for (const permit of permits) permit(outcome, tookUs);
    };
  }

  update(endpoints: readonly Endpoint[]): void {
    for (const guard of this.#guards) guard.update?.(endpoints);
  }

  close(): void {
    for (const guard of this.#guards) guard.close();
  }
}
