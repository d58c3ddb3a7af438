import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Guard, GuardPorts } from "./guard.ts";
import type { Outcome } from "./outcome.ts";

export interface OutlierSettings {
  /** Pause between two looks at the counts, in milliseconds. Default 10,000. */
  readonly intervalMs?: number | undefined;
  /** How long the first ejection lasts; the n-th in a row n times as long. Default 30,000. */
  readonly baseEjectionMs?: number | undefined;
  /** No ejection lasts longer (or `baseEjectionMs`, if that is more). Default 300,000. */
  readonly maxEjectionMs?: number | undefined;
  /** No more are ejected once so many percent of the instances are; one always may be. Default 10. */
  readonly maxEjectionPercent?: number | undefined;
  /** Ejects those whose success rate is far below the others'. Default: off. */
  readonly successRate?: SuccessRateSettings | undefined;
  /** Ejects those that fail too often, whatever the others do. Default: off. */
  readonly failurePercentage?: FailurePercentageSettings | undefined;
  /** Ejects at once after so many failures in a row (Envoy's consecutive_5xx, there 5). Default: off. */
  readonly consecutiveErrors?: number | undefined;
}

interface RuleSettings {
  /** The percentage of cases in which an outlier is really ejected. Default 100. */
  readonly enforcementPercent?: number | undefined;
  /** Instances with enough calls below which the rule says nothing. Default 5. */
  readonly minimumHosts?: number | undefined;
}

export interface SuccessRateSettings extends RuleSettings {
  /** Thousandths of a standard deviation below the mean that are too many. Default 1900. */
  readonly stdevFactor?: number | undefined;
  /** Calls in an interval below which an instance isn't judged. Default 100. */
  readonly requestVolume?: number | undefined;
}

export interface FailurePercentageSettings extends RuleSettings {
  /** More failures than this percentage are too many. Default 85. */
  readonly threshold?: number | undefined;
  /** Calls in an interval below which an instance isn't judged. Default 50. */
  readonly requestVolume?: number | undefined;
}

export interface OutlierPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Once for each ejection and return, after it. */
  readonly onChange: (id: string, isEjected: boolean, reason: string) => void;
}

interface Host {
  readonly id: string;
  /** Of the interval that isn't over. */
  successes: number;
  failures: number;
  /** Of the one before. */
  lastSuccesses: number;
  lastFailures: number;
  consecutiveErrors: number;
  /** Undefined while it isn't ejected. */
  ejectedUs: number | undefined;
  multiplier: number;
}

/**
 * Outlier detection as in gRPC's proposal A50, with consecutive errors as Envoy has them: an instance that fails more than its
 * siblings leaves the choice for a while, and longer each time. Every `intervalMs`, over the calls of the interval before:
 *
 * - `successRate`: of those with at least `requestVolume` calls, those below mean − `stdevFactor`/1000 · σ (of the population) go.
 * - `failurePercentage`: those with more failures than `threshold` percent go.
 *
 * Each rule asks for `minimumHosts`, and stops where `maxEjectionPercent` are out. With k dead of n instances the success rate's z
 * is √((n−k)/k): one of four, or two of nine, are never found by it at 1.9 σ; the other two rules find them.
 *
 * An ejection lasts min(base · times, max(base, max)); an interval in peace takes one of the times back.
 */
export class OutlierDetector {
  readonly #settings: OutlierSettings;
  readonly #ports: OutlierPorts;
  readonly #hosts = new Map<string, Host>();
  #disarm: () => void = () => undefined;

  constructor(settings: OutlierSettings, ports: OutlierPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#arm();
  }

  /** The instances are these now, by key and id; who stays keeps counts and ejection. */
  update(hosts: readonly { readonly key: string; readonly id: string }[]): void {
    const keys = new Set(hosts.map(({ key }) => key));
    for (const key of this.#hosts.keys()) if (!keys.has(key)) this.#hosts.delete(key);
    for (const { key, id } of hosts) {
      if (this.#hosts.has(key)) continue;
      const counts = { successes: 0, failures: 0, lastSuccesses: 0, lastFailures: 0, consecutiveErrors: 0 };
      this.#hosts.set(key, { id, ...counts, ejectedUs: undefined, multiplier: 0 });
    }
  }

  isEjected(key: string): boolean {
    return this.#hosts.get(key)?.ejectedUs !== undefined;
  }

  ended(key: string, outcome: Outcome): void {
    const host = this.#hosts.get(key);
    if (host === undefined || outcome === "ignored") return;
    if (outcome === "success") {
      host.successes++;
      host.consecutiveErrors = 0;
      return;
    }
    host.failures++;
    host.consecutiveErrors++;
    const { consecutiveErrors = Infinity } = this.#settings;
    if (host.consecutiveErrors < consecutiveErrors || host.ejectedUs !== undefined || this.#isFull()) return;
    this.#eject(host, `${host.consecutiveErrors} failures in a row`);
  }

  close(): void {
    this.#disarm();
  }

  #arm(): void {
    this.#disarm = this.#ports.clock.after((this.#settings.intervalMs ?? 10_000) * 1000, () => {
      this.#arm();
      this.#look();
    });
  }

  #look(): void {
    for (const host of this.#hosts.values()) {
      host.lastSuccesses = host.successes;
      host.lastFailures = host.failures;
      host.successes = 0;
      host.failures = 0;
    }
    const { successRate, failurePercentage } = this.#settings;
    if (successRate !== undefined) this.#judgeRates(successRate);
    if (failurePercentage !== undefined) this.#judgeFailures(failurePercentage);
    for (const host of this.#hosts.values()) this.#age(host);
  }

  #judgeRates(settings: SuccessRateSettings): void {
    const { stdevFactor = 1900, enforcementPercent = 100, minimumHosts = 5, requestVolume = 100 } = settings;
    const judged = [...this.#hosts.values()].filter((host) => volumeOf(host) >= requestVolume);
    if (judged.length < minimumHosts || judged.length === 0) return;
    const rates = judged.map((host) => host.lastSuccesses / volumeOf(host));
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) * (rate - mean), 0) / rates.length;
    const threshold = mean - (stdevFactor / 1000) * Math.sqrt(variance);
    for (const [index, host] of judged.entries()) {
      if (this.#isFull()) return;
      if (rates[index]! >= threshold || !this.#isEnforced(enforcementPercent)) continue;
      this.#eject(host, `a success rate of ${percent(rates[index]!)}, below ${percent(threshold)}`);
    }
  }

  #judgeFailures(settings: FailurePercentageSettings): void {
    const { threshold = 85, enforcementPercent = 100, minimumHosts = 5, requestVolume = 50 } = settings;
    const judged = [...this.#hosts.values()].filter((host) => volumeOf(host) >= requestVolume);
    if (judged.length < minimumHosts) return;
    for (const host of judged) {
      if (this.#isFull()) return;
      const failed = (host.lastFailures * 100) / volumeOf(host);
      if (failed <= threshold || !this.#isEnforced(enforcementPercent)) continue;
      this.#eject(host, `${percent(failed / 100)} of its calls failed`);
    }
  }

  /** One interval more: in peace it takes a step back towards innocence, ejected it may have served its time. */
  #age(host: Host): void {
    if (host.ejectedUs === undefined) {
      if (host.multiplier > 0) host.multiplier--;
      return;
    }
    const { baseEjectionMs = 30_000, maxEjectionMs = 300_000 } = this.#settings;
    const lastsMs = Math.min(baseEjectionMs * host.multiplier, Math.max(baseEjectionMs, maxEjectionMs));
    if (host.ejectedUs + lastsMs * 1000 >= this.#ports.clock.nowUs()) return;
    host.ejectedUs = undefined;
    host.consecutiveErrors = 0;
    this.#ports.onChange(host.id, false, `${lastsMs} ms are over`);
  }

  /** Whom both rules find is ejected for twice as long, as gRPC does it. */
  #eject(host: Host, reason: string): void {
    const isNews = host.ejectedUs === undefined;
    host.ejectedUs = this.#ports.clock.nowUs();
    host.multiplier++;
    if (isNews) this.#ports.onChange(host.id, true, reason);
  }

  #isFull(): boolean {
    let ejected = 0;
    for (const { ejectedUs } of this.#hosts.values()) if (ejectedUs !== undefined) ejected++;
    return (ejected * 100) / this.#hosts.size >= (this.#settings.maxEjectionPercent ?? 10);
  }

  #isEnforced(percentage: number): boolean {
    return percentage >= 100 || this.#ports.random.float() * 100 < percentage;
  }
}

const volumeOf = ({ lastSuccesses, lastFailures }: Host): number => lastSuccesses + lastFailures;
const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

const policy = "outlier";

/** Keeps ejected instances out of the choice; where none is left, all are used: a wrong guess must not stop the service. */
export function outlierGuard(settings: OutlierSettings, { clock, random, report, onChange }: GuardPorts): Guard {
  const detector = new OutlierDetector(settings, {
    clock,
    random,
    onChange: (instance, isEjected, reason) => {
      report({ policy, instance, state: isEjected ? "ejected" : "returned", reason });
      onChange();
    },
  });
  return {
    avoids: ({ key }: Endpoint) => detector.isEjected(key),
    admit:
      ({ key }) =>
      (outcome) =>
        detector.ended(key, outcome),
    update: (endpoints) => detector.update(endpoints),
    close: () => detector.close(),
  };
}
