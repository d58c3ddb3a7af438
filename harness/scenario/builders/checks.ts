import type { RpcCode } from "../../../runtime/call/status.ts";
import type { CheckSpec, PermittedAnomaly } from "../schema.ts";
import type { TaskFate } from "../tasks.ts";

type Kind = CheckSpec["check"];
type Spec<K extends Kind> = Extract<CheckSpec, { check: K }>;
/** "equal" is spelled out by `scenario`, which knows the instances. */
type Unfinished<K extends Kind> = Pick<Spec<K>, "check" | "service"> &
  Partial<Omit<Spec<K>, "expected"> & { readonly expected: Readonly<Record<string, number>> | "equal" }>;
type Share = string | number;

/** Calls that end OK, of all: `successRate("orders").atLeast("99%").detects("95%")`. */
export const successRate = (service: string) => new SuccessRate({ check: "success-rate", service });

/** Calls that end with one status code, of all: `callsEnd("orders", "UNAUTHENTICATED").from("intruder").atLeast("99%").detects("90%")`. */
export const callsEnd = (service: string, code: RpcCode) => new CallsEnd({ check: "calls-end", service, code });

/**
 * Calls that an instance has served in the end, whatever their callers heard:
 * `delivery("audit").within("3s").atLeast("99%").detects("90%")`.
 */
export const delivery = (service: string) => new Delivery({ check: "delivery", service });

/** Where first attempts go: `share("orders").byInstance("equal").detects(1.5)`. */
export const share = (service: string) => new ShareOf({ check: "share", service });

/** How long calls take, failed ones counted as slow: `latency("orders").p99("300ms").detects("5%")`. */
export const latency = (service: string) => new Latency({ check: "latency", service });

/** How much retries add: `attemptsPerCall("orders").atMost(1.2).detects(1.5)`. */
export const attemptsPerCall = (service: string) => new AttemptsPerCall({ check: "attempts-per-call", service });

/** Nobody tries a node that has been dead for a while: `noDeadCalls("orders").within("3s").detects("1s")`. */
export const noDeadCalls = (service: string) => new NoDeadCalls({ check: "no-dead-calls", service });

/** All is well again soon after a moment: `recovery("orders").after("4s").within("1s").p99Below("300ms").detects("1s")`. */
export const recovery = (service: string) => new Recovery({ check: "recovery", service });

/** Calls with one key reach instances of one tag only, or one instance: `sticky("orders").byInstance().detects("1%")`. */
export const sticky = (service: string) => new Sticky({ check: "stickiness", service });

/** No call fails because a node is stopped in order: `gracefulStop("orders", "orders/1").detects("2%")`. */
export const gracefulStop = (service: string, target: string) =>
  new GracefulStop({ check: "graceful-stop", service, target });

/** Nothing is sent through an open breaker: `openBreaker("orders").detects("10%")`. */
export const openBreaker = (service: string) => new OpenBreaker({ check: "open-breaker", service });

/** Nobody works on for those who have gone: `abandonedWork("orders").within("50ms").detects("5%")`. */
export const abandonedWork = (service: string) => new AbandonedWork({ check: "abandoned-work", service });

/** How the service's tasks may end: `taskFates("orders").only("answered").detects("2%")`. */
export const taskFates = (service: string) => new TaskFates({ check: "task-fates", service });

/** Every call is one connected trace, with a client span for each attempt: `traces("orders").detects("2%")`. */
export const traces = (service: string) => new Traces({ check: "traces", service });

/** A bad version is taken back: `rollback("orders", "v2").by("4s").detects("5%")`. */
export const rollback = (service: string, tag: string) => new Rollback({ check: "rollback", service, tag });

/** Nothing of what the bank has appears or disappears: `conservation("order").detects("5%")`. */
export const conservation = (order: string) => new OfTransactions({ check: "conservation", service: order });

/** A transaction is done whole or not at all: `atomicity("order").detects("5%")`, `.ofBothEnds()`. */
export const atomicity = (order: string) => new Atomicity({ check: "atomicity", service: order });

/** No transaction is open in the end, and nothing is set aside, locked or to be undone: `nothingLeft("order").detects("5%")`. */
export const nothingLeft = (order: string) => new OfTransactions({ check: "nothing-left", service: order });

/** Each step is kept or taken back, once, in order: `sagaSteps("order").shows("compensation").detects("8%")`. */
export const sagaSteps = (order: string) => new SagaSteps({ check: "saga-steps", service: order });

/** Nobody who locks overwrites or sees what may be taken back: `isolation("order").shows("dirty-read").detects("25%")`. */
export const isolation = (order: string) => new Isolation({ check: "isolation", service: order });

/** Steps that come twice, too late or alone have no effect: `tccFence("account").shows("suspension").detects("25%")`. */
export const tccFence = (service: string) => new TccFence({ check: "tcc-fence", service });

/**
 * While an access log is switched on each served call is one line, and else none is:
 * `accessLog("orders").on("2s").off("5s").within("500ms").detects("2%")`.
 */
export const accessLog = (service: string) => new AccessLog({ check: "access-log", service });

/** Every caller refused a malformed version of a document, and said why: `ruleRejected("orders", "orders.condition-router")`. */
export const ruleRejected = (service: string, key: string): Spec<"rule-rejected"> => ({
  check: "rule-rejected",
  service,
  key,
});

/** Prometheus counted what the history has, call by call: `metrics("orders")`. In worlds with a Prometheus only. */
export const metrics = (service: string): Spec<"metrics"> => ({ check: "metrics", service });

/** A check that is being described, in any order; `scenario` takes its `spec`. Every step answers a new one. */
export abstract class CheckBuilder<K extends Kind = Kind> {
  readonly spec: Unfinished<K>;

  constructor(spec: Unfinished<K>) {
    this.spec = spec;
  }

  protected with(more: Partial<Unfinished<K>>): this {
    return new (this.constructor as new (spec: Unfinished<K>) => this)({ ...this.spec, ...more });
  }
}

type WindowedKind = Extract<CheckSpec, { during?: unknown }>["check"];

/** A check of the calls that begin in some stretch of the run; by default in all of it. */
abstract class Windowed<K extends WindowedKind> extends CheckBuilder<K> {
  /** "3s..5s" */
  during(window: string): this {
    return this.with({ during: window } as Partial<Unfinished<K>>);
  }

  /** Leaves a window out: "3s..5s". */
  outside(window: string): this {
    return this.with({ outside: window } as Partial<Unfinished<K>>);
  }

  /** Judged as part of the recovery, not of the safety (the default). */
  inRecovery(): this {
    return this.with({ phase: "recovery" } as Partial<Unfinished<K>>);
  }
}

type WhoseKind = Extract<CheckSpec, { from?: unknown }>["check"];

/** A check that can be about a part of the calls only. */
abstract class OfSome<K extends WhoseKind> extends Windowed<K> {
  /** Only the calls that nodes of this service make. */
  from(service: string): this {
    return this.with({ from: service } as Partial<Unfinished<K>>);
  }

  /** Only the calls that ask for this lane (`dubbo.tag`, or baggage); "-": for none. */
  lane(lane: string): this {
    return this.with({ lane } as Partial<Unfinished<K>>);
  }
}

class SuccessRate extends OfSome<"success-rate"> {
  atLeast(atLeast: Share): this {
    return this.with({ atLeast });
  }

  /** A success rate that is certainly found: lower than the bound by as much as the number of calls demands. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class CallsEnd extends OfSome<"calls-end"> {
  atLeast(atLeast: Share): this {
    return this.with({ atLeast });
  }

  /** A share that is certainly found: lower than the bound by as much as the number of calls demands. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class Delivery extends OfSome<"delivery"> {
  /** From when the call was due, redeliveries included. */
  within(within: string): this {
    return this.with({ within });
  }

  /** Not any instance, but every one has to serve the call. */
  toEvery(): this {
    return this.with({ to: "every" });
  }

  atLeast(atLeast: Share): this {
    return this.with({ atLeast });
  }

  /** A share of delivered calls that is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class ShareOf extends OfSome<"share"> {
  byInstance(expected: Readonly<Record<string, number>> | "equal"): this {
    return this.with({ by: "instance", expected });
  }

  byTag(expected: Readonly<Record<string, number>>): this {
    return this.with({ by: "tag", expected });
  }

  /** Counts each distinct sticky key, not each call: calls with one key aren't independent. */
  ofKeys(): this {
    return this.with({ trial: "key" });
  }

  /** Any one share times this factor is certainly found (divided by it where that would be all or more). */
  detects(detects: number): this {
    return this.with({ detects });
  }
}

class Latency extends OfSome<"latency"> {
  percentile(percentile: number, atMost: string): this {
    return this.with({ percentile, atMost });
  }

  p50(atMost: string): this {
    return this.percentile(50, atMost);
  }

  p90(atMost: string): this {
    return this.percentile(90, atMost);
  }

  p95(atMost: string): this {
    return this.percentile(95, atMost);
  }

  p99(atMost: string): this {
    return this.percentile(99, atMost);
  }

  /** This fraction of calls over the bound is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class AttemptsPerCall extends OfSome<"attempts-per-call"> {
  atMost(atMost: number): this {
    return this.with({ atMost });
  }

  /** This many attempts per call are certainly found. */
  detects(detects: number): this {
    return this.with({ detects });
  }
}

class NoDeadCalls extends CheckBuilder<"no-dead-calls"> {
  within(within: string): this {
    return this.with({ within });
  }

  /** Noticing this much later than `within` is certainly found. */
  detects(detects: string): this {
    return this.with({ detects });
  }
}

class Recovery extends CheckBuilder<"recovery"> {
  after(after: string): this {
    return this.with({ after });
  }

  within(within: string): this {
    return this.with({ within });
  }

  atLeast(atLeast: Share): this {
    return this.with({ atLeast });
  }

  percentileBelow(percentile: number, atMost: string): this {
    return this.with({ percentile, atMost });
  }

  p99Below(atMost: string): this {
    return this.percentileBelow(99, atMost);
  }

  /** A recovery that takes this much longer than `within`, with half of the calls bad, is certainly found. */
  detects(detects: string): this {
    return this.with({ detects });
  }
}

class Sticky extends OfSome<"stickiness"> {
  /** A key has one instance, not only instances of one tag. */
  byInstance(): this {
    return this.with({ by: "instance" });
  }

  /** An instance that comes or goes: keys may have it besides. */
  except(except: string): this {
    return this.with({ except });
  }

  /** This fraction of keys that stray is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class Rollback extends CheckBuilder<"rollback"> {
  /** The moment of the load from which on nobody may call it any more. */
  by(by: string): this {
    return this.with({ by });
  }

  /** This fraction of calls that still reach it is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class GracefulStop extends CheckBuilder<"graceful-stop"> {
  /** This fraction of failed calls is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class OpenBreaker extends CheckBuilder<"open-breaker"> {
  /** This fraction of calls let through, of those that come while it is open, is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class OfTransactions<K extends "conservation" | "atomicity" | "nothing-left"> extends CheckBuilder<K> {
  /** This fraction of transactions that break it is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects } as Partial<Unfinished<K>>);
  }
}

class Atomicity extends OfTransactions<"atomicity"> {
  /** The run has to have both, committed and rolled back transactions. */
  ofBothEnds(): this {
    return this.with({ bothEnds: true });
  }

  /** The accident that the run has to have: else there is nothing to judge. */
  shows(shows: NonNullable<Spec<"atomicity">["shows"]>): this {
    return this.with({ shows });
  }
}

class SagaSteps extends CheckBuilder<"saga-steps"> {
  /** What the run has to show: else there is nothing to judge. */
  shows(shows: Spec<"saga-steps">["shows"]): this {
    return this.with({ shows });
  }

  /** This fraction of them that goes another way is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class Isolation extends CheckBuilder<"isolation"> {
  /** What the run has to show of what is permitted: else there is nothing to judge. */
  shows(...shows: [PermittedAnomaly, ...PermittedAnomaly[]]): this {
    return this.with({ shows: shows.length === 1 ? shows[0] : shows });
  }

  /** This fraction of those that lock where it mattered, and all the same got what may be taken back, is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class TccFence extends CheckBuilder<"tcc-fence"> {
  /** What the run has to show: else there is nothing to judge. */
  shows(shows: Spec<"tcc-fence">["shows"]): this {
    return this.with({ shows });
  }

  /** This fraction of them that has an effect is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class AbandonedWork extends CheckBuilder<"abandoned-work"> {
  within(within: string): this {
    return this.with({ within });
  }

  /** This fraction of tasks that go on, of those that nobody waits for any more, is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class TaskFates extends Windowed<"task-fates"> {
  only(...only: readonly TaskFate[]): this {
    return this.with({ only: [...only] });
  }

  /** This fraction of tasks that end in another way is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class AccessLog extends CheckBuilder<"access-log"> {
  /** The moment of the load when a rule switches it on. */
  on(on: string): this {
    return this.with({ on });
  }

  /** The moment when it is switched off again. Default: never. */
  off(off: string): this {
    return this.with({ off });
  }

  /** Time that the news may take to reach every instance. */
  within(within: string): this {
    return this.with({ within });
  }

  /** This fraction of calls without a line is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}

class Traces extends Windowed<"traces"> {
  /** This fraction of broken traces is certainly found. */
  detects(detects: Share): this {
    return this.with({ detects });
  }
}
