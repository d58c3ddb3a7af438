import { z } from "zod";

import { rpcCodes } from "../../runtime/call/status.ts";
import { rowKeys } from "../../services/bank/holdings.ts";
import { bankModes } from "../../services/bank/mode.ts";
import { clientRetries } from "./retries.ts";
import { clientProtection, serverProtection } from "./protection.ts";
import { clientSecurity, serverSecurity } from "./security.ts";
import { taskFates } from "./tasks.ts";
import { callTimeout, duration, durationFrom, fraction, notNegative, signedDuration } from "./units.ts";

/** Text that exists in both of the project's languages. */
const bilingual = z.strictObject({ en: z.string().min(1), zh: z.string().min(1) });

const aRate = 'a rate such as "80/s"';
/** "80/s" */
const rate = z.string({ error: aRate }).regex(/^\d+(\.\d+)?\/(s|m)$/, { error: notNegative(aRate) });

/** "3s..5s": from the first moment (included) to the second (excluded), counted from the start of the load. */
const aWindow = 'a window such as "3s..5s"';
const window = z
  .string({ error: aWindow })
  .regex(/^\d+(\.\d+)?(us|ms|s|m)\.\.\d+(\.\d+)?(us|ms|s|m)$/, { error: notNegative(aWindow) });

const drawn = durationFrom("0s", "60m");
const distribution = z.union(
  [
    drawn,
    z.strictObject({ constant: drawn }),
    z.strictObject({ uniform: z.strictObject({ from: drawn, to: drawn }) }),
    z.strictObject({ normal: z.strictObject({ mean: drawn, sd: drawn }) }),
    z.strictObject({ exponential: z.strictObject({ mean: drawn }) }),
    z.strictObject({ pareto: z.strictObject({ min: drawn, shape: z.number().min(0.001) }) }),
  ],
  { error: "one distribution is meant, and there is more than one" },
);

/** Files and folders are named after it. */
const name = z
  .string()
  .regex(/^[a-z][a-z0-9-]*$/, { error: "lower-case letters, digits and dashes, a letter first" })
  .max(100);

/** What a node says of itself to rules: zone, region, env, … In the registry for providers. */
const labels = z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9._-]*$/, { error: "a label's name" }), z.string().min(1));

/** Of an instance, for balancing. */
const weight = z.int().min(0).max(1_000_000);
/** Of instances, and what calls ask for. */
const tag = z.string().min(1);

/** How a node calls a service. */
const calls = z.strictObject({
  service: name,
  timeout: callTimeout.optional(),
  attemptTimeout: callTimeout.optional(),
  retries: z.int().min(0).max(100).optional(),
  retryOn: z.array(z.string()).optional(),
  cluster: z.string().optional(),
  balancer: z.string().optional(),
  /** Consistent hashing: points of each instance, what makes the key, and how far above the mean an instance may be loaded. */
  hash: z
    .strictObject({
      nodes: z.int().min(4).max(4096).multipleOf(4).optional(),
      arguments: z
        .string()
        .regex(/^\d+(\.[A-Za-z_][A-Za-z0-9_]*)*(,\d+(\.[A-Za-z_][A-Za-z0-9_]*)*)*$/, {
          error: 'such as "0" or "0.user.id"',
        })
        .optional(),
      loadFactor: z.number().min(1.01).max(100).optional(),
    })
    .optional(),
  /** gRPC's weighted round-robin: when reports of load begin to count, how long they do, how often they are taken over. */
  weightedRoundRobin: z
    .strictObject({
      blackout: durationFrom("0s", "60m").optional(),
      weightExpiration: durationFrom("1us", "60m").optional(),
      weightUpdate: durationFrom("100ms", "60m").optional(),
      errorUtilizationPenalty: z.number().min(0).optional(),
    })
    .optional(),
  /** How messages are written; in `sim` nothing is. Default: protobuf, and JSON where the protocol is JSON-RPC or HTTP. */
  codec: z.enum(["protobuf", "json"]).optional(),
  ...clientRetries,
  ...clientProtection,
  ...clientSecurity,
});

/** What can be said of how a service is called, beside whom. */
export const callKeys = Object.keys(calls.shape).filter((key) => key !== "service") as Exclude<
  keyof CallsSpec,
  "service"
>[];

/** A module of the user's own that does the work: docs/own-services.md. */
const own = z.strictObject({
  /** As seen from the scenario's file. */
  file: z.string().min(1),
  /** What its `start` is told. Default: nothing. */
  config: z.record(z.string(), z.json()).optional(),
});

const work = {
  own: own.optional(),
  /** What it speaks; in `sim` the simulated transport carries all. Default Triple. */
  protocol: z.enum(["triple", "framed", "jsonrpc", "http"]).optional(),
  serviceTime: distribution.optional(),
  /** How much longer work takes for each other call that is worked on: "1%" of its own time. Default 0. */
  contention: fraction.optional(),
  errorRate: fraction.optional(),
  /** Calls worked on at a time; the others wait. Default: no limit. */
  capacity: z.int().min(1).optional(),
  /** Calls that may wait; one more is refused RESOURCE_EXHAUSTED. */
  queueMax: z.int().min(0).optional(),
  ...serverProtection,
  ...serverSecurity,
  /** How a call that is refused or fails says when to be tried again (`grpc-retry-pushback-ms`). Default: it doesn't say. */
  pushback: z.union([durationFrom("0s", "60m", { isWholeMs: true }), z.literal("never")]).optional(),
  /** Work goes on for callers that have given up: their calls keep their places and their workers. Default false. */
  servesAbandoned: z.boolean().optional(),
  /** It says with every answer how busy it is (ORCA): what "weighted-round-robin" goes by. Default false. */
  reportsLoad: z.boolean().optional(),
  weight: weight.optional(),
  /** Time from its start until it has its whole weight. Default: at once. */
  warmup: durationFrom("1ms", "1440m", { isWholeMs: true }).optional(),
};

/**
 * A program that Flyball didn't write, in a container (world `docker`): of an image of its own, or a file of this project in the
 * plain Node.js image. In `command` and `environment`, `${name}` stands for what only the world knows: see `foreign.ts`.
 */
const foreignProgram = {
  image: z.string().min(1).optional(),
  /** What to run instead of what the image says; without an image: a file of the project, and its arguments. */
  command: z.array(z.string()).min(1).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  /** When it is ready: it listens at its port (a provider's default), or prints a line that contains `line` (a consumer's: "ready"). */
  ready: z
    .strictObject({ line: z.string().min(1).optional(), within: durationFrom("1ms", "60m").optional() })
    .optional(),
  /** Time that it has to end after SIGTERM. Default 15 s. */
  stopWithin: durationFrom("0s", "60m").optional(),
};

const foreignShape = z.strictObject(foreignProgram);

const group = z.strictObject({
  instances: z.int().min(1),
  tag: tag.optional(),
  labels: labels.optional(),
  ...work,
  /** These instances are somebody else's program: a fleet of two makes. */
  foreign: foreignShape.optional(),
});

const provider = z.strictObject({
  program: z.literal("provider"),
  instances: z.int().min(1).optional(),
  /** Instances that differ, in this order: "orders/0", … run on through the groups. */
  groups: z.array(group).optional(),
  tag: tag.optional(),
  labels: labels.optional(),
  ...work,
  /** A service that each call calls in turn before it is answered. */
  calls: calls.optional(),
  /** Further ones that a module of the user's own (`own`) may call. */
  alsoCalls: z.array(calls).min(1).optional(),
});

const consumer = z.strictObject({
  program: z.literal("consumer"),
  instances: z.int().min(1),
  calls,
  /** Each call carries a value of this metadata key, drawn from `count` of them. */
  key: z.strictObject({ name: z.string().min(1), count: z.int().min(1).max(0x100000000) }).optional(),
  /** The request tag of every call. */
  tag: tag.optional(),
  /** How long its users wait before they leave: their calls are cancelled then. Default: as long as it takes. */
  patience: distribution.optional(),
  labels: labels.optional(),
  /** What every call carries beside key and tag, as metadata. */
  metadata: z.record(z.string().min(1), z.string()).optional(),
});

/** A service of a fleet that Flyball didn't write. */
const foreign = z.strictObject({
  program: z.literal("foreign"),
  /** What it is to the others: it is called, or it makes the calls of a load. */
  role: z.enum(["provider", "consumer"]),
  instances: z.int().min(1).optional(),
  ...foreignProgram,
  /** What it is told, and what checks go by: the scenario says it, the program has to do it. */
  tag: tag.optional(),
  weight: weight.optional(),
  /** Whom it calls, and for how long and how often it tries at most. */
  calls: z
    .strictObject({ service: name, timeout: callTimeout.optional(), retries: z.int().min(0).max(100).optional() })
    .optional(),
});

/** How the bank's order calls those who reserve: once each, since to reserve twice is two reservations. */
const reservingCalls = calls.omit({
  ...{ retries: true, retryOn: true, retry: true, retryBudget: true, idempotent: true },
  ...{ cluster: true, hedging: true, forking: true, broadcast: true, failback: true, zoneAware: true },
});

/** Each call is a global transaction: it takes one piece out of stock and its price from an account. */
const order = z.strictObject({
  program: z.literal("order"),
  instances: z.int().min(1).optional(),
  /** How account and stock take part in its transactions: the one place where a scenario says so. Default "tcc". */
  mode: z.enum(bankModes).optional(),
  account: reservingCalls,
  stock: reservingCalls,
  /** The coordinator rolls a transaction back after so long. Default 60 s, as Seata's. */
  timeout: durationFrom("1ms", "1440m", { isWholeMs: true }).optional(),
  /** Accounts, and goods. Default 100. */
  items: z.int().min(1).max(100_000).optional(),
  /** What a piece costs. Default 10. */
  price: z.int().min(1).max(1_000_000).optional(),
  /** Share of the orders that are given up when everything is reserved. Default none. */
  abortRate: fraction.optional(),
  /**
   * In mode "at": each order first looks at the account and at the good, this share of them by `SELECT … FOR UPDATE`. In mode "saga": at
   * the account, and plainly. Default none does.
   */
  looks: z
    .strictObject({
      locking: fraction.optional(),
      /** Accounts are partners two by two: each order also looks at its partner's, before it buys and once it has. Default false. */
      partner: z.boolean().optional(),
    })
    .optional(),
  /** In mode "at": an order pays in so many parts, the first before it has its piece, the others after. Default 1. */
  instalments: z.int().min(1).max(100).optional(),
});

/** Sets aside what an order wants, on its own disk, or in a database where the coordinator is a real one: one instance. */
const reserving = {
  ...serverSecurity,
  /** How much there is of each item at first. Default 1 000 000. */
  initial: z.int().min(0).max(1_000_000_000_000).optional(),
  /** In mode "at": what the primary key of a row is: its `name` (default), a `blob`, or an `edition`, a new one for each write. */
  keys: z.enum(rowKeys).optional(),
  /**
   * Time between a branch's registration and its try; in AT, before its local transaction; of a saga's step, and of its compensation.
   * Default none.
   */
  serviceTime: distribution.optional(),
  /** In mode "at": time between a branch's registration and its local commit. Default none. */
  commitTime: distribution.optional(),
  /**
   * In mode "at": a branch reads what there is, works, and then writes what it has counted; this share of them reads by `SELECT … FOR
   * UPDATE` in the local transaction that writes, the others plainly and before it. Default: it locks and writes at once.
   */
  counts: z.strictObject({ locking: fraction.optional() }).optional(),
  /**
   * In mode "tcc": what is set aside is outside and isn't undone with a local transaction, no fence guards it, and this share of the tries
   * says no afterwards (default none). Default: it is in the service's own database.
   */
  outside: z.strictObject({ refuses: fraction.optional() }).optional(),
  /** In mode "saga": the share of what is taken that can't be given back, whoever asks. Default none. */
  kept: fraction.optional(),
  /**
   * In mode "at": a job that writes into the row which was changed last, or any of those `among` so many, outside of every global
   * transaction. Before this share of them it looks for global locks (default all). Default: there is none.
   */
  clerk: z
    .strictObject({
      every: durationFrom("1ms", "60m", { isWholeMs: true }),
      locking: fraction.optional(),
      among: z.int().min(1).max(100).optional(),
    })
    .optional(),
};
const account = z.strictObject({ program: z.literal("account"), ...reserving });
const stock = z.strictObject({ program: z.literal("stock"), ...reserving });

/** A consumer that also makes a call for each HTTP request, so that load can come from outside of the fleet. */
const gateway = consumer.extend({ program: z.literal("gateway") });

const load = z.strictObject({
  on: name,
  arrivals: z.enum(["constant", "poisson"]),
  /** Calls for the service's instances together: one rate, or legs one after the other. */
  legs: z
    .array(
      z.strictObject({
        rate,
        /** A ramp ends at this rate; absent means steady. */
        to: rate.optional(),
        for: duration,
      }),
    )
    .min(1),
});

/** Nodes: "orders/1", "orders" (every instance), "registry". */
const target = z
  .string()
  .regex(/^[a-z][a-z0-9-]*(\/\d+)?$/, { error: 'a node such as "orders/1", or all of "orders"' });
/** Connections from one to the other; without `from`, those of everybody who calls `to`. */
const link = z.strictObject({ from: target.optional(), to: target });
const forHowLong = { for: duration.optional() };
/** Clients of the registry, and the service about which they are told something else. */
const told = { target, service: name, ...forHowLong };

/** Without `for` a fault lasts until the end of the run. */
const fault = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("kill"), target, ...forHowLong }),
  z.strictObject({ kind: z.literal("pause"), target, ...forHowLong }),
  z.strictObject({ kind: z.literal("disconnect"), target, ...forHowLong }),
  z.strictObject({ kind: z.literal("slow"), target, factor: z.number().min(1), ...forHowLong }),
  z.strictObject({
    kind: z.literal("latency"),
    link,
    add: duration,
    jitter: duration.optional(),
    distribution: z.enum(["uniform", "normal", "exponential", "pareto"]).optional(),
    ...forHowLong,
  }),
  z.strictObject({ kind: z.literal("bandwidth"), link, bytesPerSecond: z.int().min(1), ...forHowLong }),
  z.strictObject({ kind: z.literal("loss"), link, probability: fraction, ...forHowLong }),
  z.strictObject({
    kind: z.literal("partition"),
    link,
    /** Which bytes are lost: those sent by `from` ("forward"), those sent to it ("backward"), or both. */
    direction: z.enum(["both", "forward", "backward"]).optional(),
    ...forHowLong,
  }),
  z.strictObject({ kind: z.literal("blackhole"), link, ...forHowLong }),
  z.strictObject({ kind: z.literal("reset"), link }),
  z.strictObject({ kind: z.literal("slow-close"), link, delay: duration, ...forHowLong }),
  z.strictObject({ kind: z.literal("refuse"), link, ...forHowLong }),
  /** Of the embedded registry; `target`: its clients. */
  z.strictObject({ kind: z.literal("session-expiry"), target }),
  z.strictObject({ kind: z.literal("missed-watch"), ...told }),
  z.strictObject({ kind: z.literal("delayed-watch"), ...told, by: duration }),
  z.strictObject({ kind: z.literal("duplicated-watch"), ...told }),
  z.strictObject({ kind: z.literal("stale-snapshot"), ...told }),
  z.strictObject({ kind: z.literal("empty-push"), ...told }),
  z.strictObject({
    kind: z.literal("partial-push"),
    ...told,
    /** The share of the instances that is still listed. Default 0.5. */
    keep: z.number().gt(0).lt(1).optional(),
  }),
  z.strictObject({ kind: z.literal("diverging-views"), ...told }),
  /** `target`: instances that have ended before. */
  z.strictObject({ kind: z.literal("resurrected-ephemeral"), target, ...forHowLong }),
  z.strictObject({
    kind: z.literal("brown-out"),
    target: z.literal("registry"),
    delay: duration,
    errorRate: fraction.optional(),
    ...forHowLong,
  }),
  z.strictObject({ kind: z.literal("flapping-registration"), target, every: duration, ...forHowLong }),
  z.strictObject({ kind: z.literal("zombie"), target, ...forHowLong }),
  z.strictObject({ kind: z.literal("half-dead"), target, ...forHowLong }),
  z.strictObject({
    kind: z.literal("event-loop-block"),
    target,
    block: duration,
    /** From the beginning of one block to that of the next. Default 1 s. */
    every: duration.optional(),
    ...forHowLong,
  }),
  z.strictObject({
    kind: z.literal("slow-cpu"),
    target,
    /** Of a processor. */
    share: z.number().min(0.05).max(0.95),
    ...forHowLong,
  }),
  /** Of a machine's wall clock: wrong by so much while it lasts; from now on; more and more. */
  z.strictObject({ kind: z.literal("clock-offset"), target, by: signedDuration, ...forHowLong }),
  z.strictObject({ kind: z.literal("clock-step"), target, by: signedDuration }),
  z.strictObject({
    kind: z.literal("clock-drift"),
    target,
    /** How much faster it goes: 0.1 gains 100 ms a second, -1 stands still. */
    rate: z.number().min(-1).max(10),
    ...forHowLong,
  }),
  /** Of a machine's disk. */
  z.strictObject({ kind: z.literal("disk-full"), target, ...forHowLong }),
  z.strictObject({ kind: z.literal("slow-disk"), target, delay: duration, ...forHowLong }),
  z.strictObject({
    kind: z.literal("torn-write"),
    target,
    /** The share of the write that is on the disk. Default 0.5. */
    keep: z.number().gt(0).lt(1).optional(),
    ...forHowLong,
  }),
  z.strictObject({ kind: z.literal("lost-unsynced"), target, ...forHowLong }),
  /** Of a rule document in the config centre. */
  z.strictObject({ kind: z.literal("malformed-rule"), key: z.string().min(1), content: z.string(), ...forHowLong }),
  z.strictObject({ kind: z.literal("rolled-back-rule"), key: z.string().min(1), content: z.string(), ...forHowLong }),
  z.strictObject({
    kind: z.literal("half-pushed-rule"),
    key: z.string().min(1),
    content: z.string(),
    /** Those that it reaches. */
    target,
    ...forHowLong,
  }),
  z.strictObject({ kind: z.literal("out-of-order-rule"), key: z.string().min(1), content: z.string() }),
]);

const action = z.discriminatedUnion("kind", [
  /** Deregisters, drains, ends. */
  z.strictObject({ kind: z.literal("stop"), target }),
  /** Starts a stopped or killed node again; a running one is stopped gracefully first. */
  z.strictObject({ kind: z.literal("restart"), target }),
  /** Puts a rule document into the config centre (group "dubbo"); without content it is deleted. */
  z.strictObject({ kind: z.literal("publish"), key: z.string().min(1), content: z.string().optional() }),
  /** Raises a version's share step by step, and takes it back as soon as its calls fail too often (a sequential test). */
  z.strictObject({
    kind: z.literal("rollout"),
    service: name,
    /** The new version's instances. */
    tag,
    key: z.string().min(1),
    /** The rule document; `${percent}` stands for the percentage. */
    content: z.string().includes("${percent}"),
    percents: z.array(z.number().gt(0).max(100)).min(1),
    /** Between two steps. */
    every: duration,
    /** Error rates of first attempts: one that is fine, and one that must be found. */
    acceptable: fraction,
    unacceptable: fraction,
    /** The probabilities that one test condemns what is fine, and passes what must be found. Default 1e-7 and 1e-3. */
    alpha: z.number().gt(0).lt(0.5).optional(),
    beta: z.number().gt(0).lt(0.5).optional(),
  }),
]);

const step = z.union([z.strictObject({ at: duration, fault }), z.strictObject({ at: duration, action })], {
  error: "a step is a fault or an action, not both",
});

const phase = z.enum(["safety", "recovery"]);
const when = { during: window.optional(), outside: window.optional(), phase: phase.optional() };
/** Only the calls that nodes of this service make; only those that ask for this lane ("-": for none). */
const whose = { from: name.optional(), lane: z.string().min(1).optional() };

/** Anomalies that AT permits to those who don't lock, and the last three to those who do as well. */
const permitted = z.enum(["dirty-read", "dirty-write", "G1b", "G1c", "lost-update", "G-single", "G2-item"]);

const check = z.discriminatedUnion("check", [
  /** Calls that ended OK, of all calls. */
  z.strictObject({
    check: z.literal("success-rate"),
    service: name,
    atLeast: fraction,
    detects: fraction,
    ...when,
    ...whose,
  }),
  /** Calls that ended with this status code, of all calls. */
  z.strictObject({
    check: z.literal("calls-end"),
    service: name,
    code: z.enum(rpcCodes),
    atLeast: fraction,
    detects: fraction,
    ...when,
    ...whose,
  }),
  /** Calls that an instance has served in the end, redeliveries included, whatever their callers heard. */
  z.strictObject({
    check: z.literal("delivery"),
    service: name,
    atLeast: fraction,
    detects: fraction,
    /** From when the call was due. */
    within: duration,
    /** "every": every instance of the service has to serve it. Default "any". */
    to: z.enum(["any", "every"]).optional(),
    ...when,
    ...whose,
  }),
  /** First attempts by instance or by tag, against expected shares. */
  z.strictObject({
    check: z.literal("share"),
    service: name,
    by: z.enum(["instance", "tag"]),
    /** Expected shares by id or tag (an instance without a tag counts as "-"); they are scaled to sum 1. */
    expected: z.record(z.string(), z.number().min(0)),
    /** Any one cell's share times this factor is found (divided by it where that would be all or more). */
    detects: z.number().gt(1),
    /** What counts as an independent trial: each call, or each distinct sticky key. Default "call". */
    trial: z.enum(["call", "key"]).optional(),
    ...when,
    ...whose,
  }),
  /** The calls that are slower than `atMost` are no more than 1 - percentile of all; failed calls count as slow. */
  z.strictObject({
    check: z.literal("latency"),
    service: name,
    percentile: z.number().gt(0).lt(100),
    atMost: duration,
    /** This fraction of calls slower than `atMost` is found. */
    detects: fraction,
    ...when,
    ...whose,
  }),
  /** Attempts per logical call; a bound below 1 is about calls that their caller keeps back. */
  z.strictObject({
    check: z.literal("attempts-per-call"),
    service: name,
    atMost: z.number().gt(0),
    detects: z.number().gt(0),
    ...when,
    ...whose,
  }),
  /** Once a node is dead for longer than `within`, nobody tries it any more (until it is back). */
  z.strictObject({ check: z.literal("no-dead-calls"), service: name, within: duration, detects: duration }),
  /** From `within` after `after` on, in every stretch of `detects`, calls succeed and are fast again. */
  z.strictObject({
    check: z.literal("recovery"),
    service: name,
    after: duration,
    within: duration,
    detects: duration,
    atLeast: fraction.optional(),
    percentile: z.number().gt(0).lt(100).optional(),
    atMost: duration.optional(),
  }),
  /** First attempts with the same key reach instances of one tag, or one instance, only, while the rules don't change. */
  z.strictObject({
    check: z.literal("stickiness"),
    service: name,
    /** What a key sticks to. Default "tag". */
    by: z.enum(["instance", "tag"]).optional(),
    /** An instance that may have keys for a while, because it comes or goes: what reaches it doesn't count. Default none. */
    except: target.optional(),
    detects: fraction,
    ...when,
    ...whose,
  }),
  /** No call fails from the moment a node is asked to stop until it is gone and a second longer. */
  z.strictObject({ check: z.literal("graceful-stop"), service: name, target, detects: fraction }),
  /** Every traced call is one connected trace, with as many client spans as attempts. */
  z.strictObject({ check: z.literal("traces"), service: name, detects: fraction, ...when }),
  /** From the moment a breaker opens until it is half-open nothing is sent through it, and then no more than its probes. */
  z.strictObject({ check: z.literal("open-breaker"), service: name, detects: fraction }),
  /** Servers let go of what nobody waits for any more, and begin nothing whose deadline has passed. */
  z.strictObject({ check: z.literal("abandoned-work"), service: name, within: duration, detects: fraction }),
  /** The service's tasks end in these ways only. */
  z.strictObject({
    check: z.literal("task-fates"),
    service: name,
    only: z.array(z.enum(taskFates)).min(1),
    detects: fraction,
    ...when,
  }),
  /** A bad version is rolled back by then, and no call begins at it afterwards. */
  z.strictObject({
    check: z.literal("rollback"),
    service: name,
    tag,
    by: duration,
    detects: fraction,
  }),
  /** The bank of this order service: no cut of the run shows money or goods that came from nowhere, or that are gone. */
  z.strictObject({ check: z.literal("conservation"), service: name, detects: fraction }),
  /** Each transaction of this order service is done whole or not at all, and its manager was told which. */
  z.strictObject({
    check: z.literal("atomicity"),
    service: name,
    detects: fraction,
    /** The run has to have both, committed and rolled back ones; else there is nothing to judge. Default false. */
    bothEnds: z.boolean().optional(),
    /** An accident that the run has to have; else there is nothing to judge. Default: none. */
    shows: z.enum(["late-commit", "retried-rollback"]).optional(),
  }),
  /** When all is quiet no transaction of this order service is open, and nothing is set aside, locked or to be undone. */
  z.strictObject({ check: z.literal("nothing-left"), service: name, detects: fraction }),
  /** Each step of a saga of this order service is kept or taken back, once, in order; the run shows such that are taken back, or stuck. */
  z.strictObject({
    check: z.literal("saga-steps"),
    service: name,
    shows: z.enum(["compensation", "repair", "resumption", "dirty-read"]),
    detects: fraction,
  }),
  /**
   * No transaction of this order service overwrites, or sees where it locked, what another one may yet take back; the run shows the
   * anomalies that are permitted and that `shows` names. Mode "at".
   */
  z.strictObject({
    check: z.literal("isolation"),
    service: name,
    /** Default: nothing has to be shown. */
    shows: z.union([permitted, z.array(permitted).min(1)]).optional(),
    detects: fraction,
  }),
  /** Steps of TCC that come twice, too late or alone have no effect at this account or stock; the run shows such. */
  z.strictObject({
    check: z.literal("tcc-fence"),
    service: name,
    shows: z.enum(["empty-rollback", "suspension", "duplicate-confirm", "duplicate-cancel"]),
    detects: fraction,
  }),
  /** From `on` (and `within` later) until `off`, each call that the service serves is one line of an access log; else none is. */
  z.strictObject({
    check: z.literal("access-log"),
    service: name,
    /** The moments of the load when it is switched on and off. Default for `off`: never. */
    on: duration,
    off: duration.optional(),
    within: duration,
    detects: fraction,
  }),
  /** Every caller of the service refused a version of this rule document, and said at which line. */
  z.strictObject({ check: z.literal("rule-rejected"), service: name, key: z.string().min(1) }),
  /** Prometheus counted the service's calls as the history has them (worlds with a Prometheus only). */
  z.strictObject({ check: z.literal("metrics"), service: name }),
]);

const tolerance = z.strictObject({
  /**
   * Largest difference between sim's and local's shares, at most 0.03; or `chance`: no more than two runs differ by where each call is a
   * draw (with a false alarm of at most 1e-9). Default: the larger of the two.
   */
  share: z.union([z.number().gt(0).max(0.03), z.literal("chance")]).optional(),
  /** Largest difference between success rates, in the same way. Default 0.03. */
  success: z.union([z.number().gt(0).max(0.03), z.literal("chance")]).optional(),
  /** Relative difference of p99. At most and by default 25 % (and at least 20 ms). */
  p99: z.number().gt(0).max(0.25).optional(),
  /** Relative difference of recovery times. At most and by default 20 % (and at least 250 ms). */
  recovery: z.number().gt(0).max(0.2).optional(),
});

/** A scenario as a plain value: the one description that builders make, files hold, and every world runs. */
export const scenarioSchema = z.strictObject({
  version: z.literal(1),
  name,
  title: bilingual,
  /** What a learner should see here, and why it happens. */
  explanation: bilingual,
  tags: z.array(z.string()).default([]),
  fleet: z.record(name, z.discriminatedUnion("program", [provider, consumer, gateway, foreign, order, account, stock])),
  /** Settings of the registry. */
  registry: z
    .strictObject({
      /** In the manner of which registry; in world `docker` it is that one itself. Default: the embedded one's own. */
      like: z.enum(["zookeeper", "nacos", "consul"]).optional(),
      /** Silence after which an instance is taken out; it says that it lives three times as often. Default 6 s. */
      sessionTimeout: durationFrom("100ms", "10m").optional(),
      /** Pause between two looks for silent instances. Default 500 ms. */
      tick: durationFrom("10ms", "1m").optional(),
    })
    .optional(),
  /** Settings of the embedded transaction coordinator, which is there where the fleet has a bank; a real one has its own. */
  coordinator: z
    .strictObject({
      /** Pause between two looks at what has timed out or is to be tried again. Default 1 s. */
      retry: durationFrom("10ms", "1m").optional(),
      /** Time since a transaction's begin after which a commit, or a rollback, isn't tried again. Default: it is for ever. */
      maxCommitRetry: durationFrom("0s", "1440m", { isWholeMs: true }).optional(),
      maxRollbackRetry: durationFrom("0s", "1440m", { isWholeMs: true }).optional(),
      /** How long a branch has to be finished before its node is asked again. Default 15 s. */
      branchTimeout: durationFrom("10ms", "10m").optional(),
    })
    .optional(),
  /** Absent: calls aren't traced. */
  tracing: z
    .strictObject({
      /** The share of traces whose spans are recorded; decided at a trace's root. */
      sample: fraction,
    })
    .optional(),
  /** What servers do with the calls that they get is recorded, too: a task's life. Default false. */
  tasks: z.boolean().optional(),
  /** With `mtls`, nodes talk to one another over mutual TLS only, each by a certificate for its service. Default: without TLS. */
  security: z.strictObject({ mtls: z.boolean().optional() }).optional(),
  /** Rule documents that are in the config centre before the load begins, by key (group "dubbo"). */
  rules: z.record(z.string(), z.string()).optional(),
  load: z.array(load).min(1),
  timeline: z.array(step).default([]),
  expect: z.array(check).min(1),
  agreement: tolerance.optional(),
});

export type Scenario = z.infer<typeof scenarioSchema>;
export type Bilingual = z.infer<typeof bilingual>;
export type Distribution = z.infer<typeof distribution>;
export type CallsSpec = z.infer<typeof calls>;
export type ProviderSpec = z.infer<typeof provider>;
export type ConsumerSpec = z.infer<typeof consumer>;
export type GatewaySpec = z.infer<typeof gateway>;
export type ForeignProgram = z.infer<typeof foreignShape>;
export type ForeignSpec = z.infer<typeof foreign>;
export type OrderSpec = z.infer<typeof order>;
/** `account` or `stock`. */
export type ReservingSpec = z.infer<typeof account> | z.infer<typeof stock>;
/** An entry of a fleet. */
export type FleetSpec = ProviderSpec | ConsumerSpec | GatewaySpec | ForeignSpec | OrderSpec | ReservingSpec;
export type LoadSpec = z.infer<typeof load>;
export type FaultSpec = z.infer<typeof fault>;
export type ActionSpec = z.infer<typeof action>;
export type StepSpec = z.infer<typeof step>;
export type CheckSpec = z.infer<typeof check>;
export type PermittedAnomaly = z.infer<typeof permitted>;
export type Agreement = z.infer<typeof tolerance>;
