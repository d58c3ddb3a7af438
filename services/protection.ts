import { limitKinds, type LimitSettings } from "../runtime/protection/limits/table.ts";
import type { OutlierSettings } from "../runtime/protection/outlier.ts";
import type { RateLimitSettings } from "../runtime/protection/rate-limit.ts";
import type { ProtectionSettings } from "../runtime/protection/table.ts";
import type { ConfigReader } from "./config.ts";

const count = { min: 1, isInteger: true };
const share = { min: 0, max: 1 };
const percentage = { min: 0, max: 100 };
const time = { min: 0.001, max: 3_600_000 };

/** How a client protects the service that it calls, and itself. */
export function parseProtection(reader: ConfigReader): ProtectionSettings {
  return {
    outlier: nested(reader, "outlier", outlierOf),
    breaker: nested(reader, "breaker", (own) => ({
      scope: own.choice("scope", ["service", "instance"]),
      windowMs: own.number("windowMs", time),
      minCalls: own.number("minCalls", count),
      errorRatio: own.number("errorRatio", share),
      slowMs: own.number("slowMs", time),
      slowRatio: own.number("slowRatio", share),
      openMs: own.number("openMs", time),
      probes: own.number("probes", count),
    })),
    throttle: nested(reader, "throttle", (own) => ({
      k: own.number("k", { min: 1 }),
      windowMs: own.number("windowMs", time),
    })),
    ...parseLimits(reader),
  };
}

/** What a server lets in. */
export interface AdmissionSettings {
  readonly concurrencyLimit?: LimitSettings | undefined;
  readonly rateLimit?: RateLimitSettings | undefined;
}

export function parseAdmission(reader: ConfigReader): AdmissionSettings {
  return nested(reader, "admission", parseLimits) ?? {};
}

function parseLimits(reader: ConfigReader): AdmissionSettings {
  return {
    concurrencyLimit: nested(reader, "concurrencyLimit", limitSettingsOf),
    rateLimit: nested(reader, "rateLimit", (own) => {
      const perSecond = own.number("perSecond", { min: 0.001, max: 1_000_000 });
      if (perSecond === undefined) throw own.wrong("perSecond", "a number of calls a second");
      return { perSecond, burst: own.number("burst", { ...count, max: 1_000_000 }) };
    }),
  };
}

function limitSettingsOf(own: ConfigReader): LimitSettings {
  const settings = {
    kind: own.choice("kind", limitKinds),
    initial: own.number("initial", count),
    min: own.number("min", count),
    max: own.number("max", count),
    windowMs: own.number("windowMs", time),
    backoff: own.number("backoff", { min: 0.01, max: 0.99 }),
    timeoutMs: own.number("timeoutMs", time),
    tolerance: own.number("tolerance", { min: 1 }),
    queue: own.number("queue", { min: 0 }),
    smoothing: own.number("smoothing", { min: 0.001, max: 1 }),
    longWindow: own.number("longWindow", count),
  };
  const { min, max } = settings;
  if (min !== undefined && max !== undefined && min > max) throw own.wrong("min", `at most max, which is ${max},`);
  return settings;
}

function outlierOf(own: ConfigReader): OutlierSettings {
  const hosts = (rule: ConfigReader) => ({
    enforcementPercent: rule.number("enforcementPercent", percentage),
    minimumHosts: rule.number("minimumHosts", count),
    requestVolume: rule.number("requestVolume", count),
  });
  return {
    intervalMs: own.number("intervalMs", time),
    baseEjectionMs: own.number("baseEjectionMs", time),
    maxEjectionMs: own.number("maxEjectionMs", time),
    maxEjectionPercent: own.number("maxEjectionPercent", percentage),
    successRate: nested(own, "successRate", (rule) => ({
      stdevFactor: rule.number("stdevFactor", { min: 0 }),
      ...hosts(rule),
    })),
    failurePercentage: nested(own, "failurePercentage", (rule) => ({
      threshold: rule.number("threshold", percentage),
      ...hosts(rule),
    })),
    consecutiveErrors: own.number("consecutiveErrors", count),
  };
}

/** A nested object, read whole; undefined when absent. */
function nested<T>(reader: ConfigReader, key: string, read: (own: ConfigReader) => T): T | undefined {
  const own = reader.object(key);
  if (own === undefined) return undefined;
  const settings = read(own);
  own.end();
  return settings;
}
