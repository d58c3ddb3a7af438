import type { ActionSpec, FaultSpec, StepSpec } from "../schema.ts";

/** A link by its ends, or by its callee alone: "orders/1" is every connection to that instance. */
export type LinkInput = string | { readonly from?: string; readonly to: string };

type Kind = FaultSpec["kind"];
type Fault<K extends Kind> = Extract<FaultSpec, { kind: K }>;
/** What a fault can be told beside its place. */
type Options<K extends Kind> = Omit<Fault<K>, "kind" | "target" | "link">;

/** What happens at a moment of the load: `at("3s").kill("orders/1", { for: "2s" })`. Without `for` a fault stays. */
export function at(moment: string) {
  const fault = (spec: FaultSpec): StepSpec => ({ at: moment, fault: spec });
  const action = (spec: ActionSpec): StepSpec => ({ at: moment, action: spec });
  return {
    /** SIGKILL; with `for` the node is started again afterwards. */
    kill: (target: string, options: Options<"kill"> = {}) => fault({ kind: "kill", target, ...options }),
    /** Pulls its cable: it runs on, and nothing gets in or out. */
    disconnect: (target: string, options: Options<"disconnect"> = {}) =>
      fault({ kind: "disconnect", target, ...options }),
    /** Freezes the process; its sockets stay open. */
    pause: (target: string, options: Options<"pause"> = {}) => fault({ kind: "pause", target, ...options }),
    /** Its work takes `factor` times as long. */
    slow: (target: string, options: Options<"slow">) => fault({ kind: "slow", target, ...options }),
    /** Each round trip takes `add` longer. */
    latency: (link: LinkInput, options: Options<"latency">) => fault({ kind: "latency", link: ends(link), ...options }),
    bandwidth: (link: LinkInput, options: Options<"bandwidth">) =>
      fault({ kind: "bandwidth", link: ends(link), ...options }),
    loss: (link: LinkInput, options: Options<"loss">) => fault({ kind: "loss", link: ends(link), ...options }),
    /** Nothing arrives, in one direction or both; what was sent is delivered afterwards. */
    partition: (link: LinkInput, options: Options<"partition"> = {}) =>
      fault({ kind: "partition", link: ends(link), ...options }),
    /** Everything that is sent disappears; nobody answers. */
    blackhole: (link: LinkInput, options: Options<"blackhole"> = {}) =>
      fault({ kind: "blackhole", link: ends(link), ...options }),
    /** Breaks every open connection, once. */
    reset: (link: LinkInput) => fault({ kind: "reset", link: ends(link) }),
    /** The end of a connection is noticed `delay` later. */
    slowClose: (link: LinkInput, options: Options<"slow-close">) =>
      fault({ kind: "slow-close", link: ends(link), ...options }),
    /** The port is closed: connections are refused. */
    refuse: (link: LinkInput, options: Options<"refuse"> = {}) =>
      fault({ kind: "refuse", link: ends(link), ...options }),
    /** The registry ends the sessions of these clients now. */
    sessionExpiry: (target: string) => fault({ kind: "session-expiry", target }),
    /** Changes of `service` aren't told to these clients. */
    missedWatch: (target: string, options: Options<"missed-watch">) =>
      fault({ kind: "missed-watch", target, ...options }),
    /** Changes of `service` are told to these clients `by` later. */
    delayedWatch: (target: string, options: Options<"delayed-watch">) =>
      fault({ kind: "delayed-watch", target, ...options }),
    /** Changes of `service` are told to these clients twice. */
    duplicatedWatch: (target: string, options: Options<"duplicated-watch">) =>
      fault({ kind: "duplicated-watch", target, ...options }),
    /** These clients read and watch what was there when it began. */
    staleSnapshot: (target: string, options: Options<"stale-snapshot">) =>
      fault({ kind: "stale-snapshot", target, ...options }),
    /** These clients are pushed an empty list of `service`. */
    emptyPush: (target: string, options: Options<"empty-push">) => fault({ kind: "empty-push", target, ...options }),
    /** These clients are pushed a share of `service` only. */
    partialPush: (target: string, options: Options<"partial-push">) =>
      fault({ kind: "partial-push", target, ...options }),
    /** Each of these clients sees another part of `service`. */
    divergingViews: (target: string, options: Options<"diverging-views">) =>
      fault({ kind: "diverging-views", target, ...options }),
    /** Instances that have gone are listed again. */
    resurrectedEphemeral: (target: string, options: Options<"resurrected-ephemeral"> = {}) =>
      fault({ kind: "resurrected-ephemeral", target, ...options }),
    /** The registry is overloaded: late, and failing now and then. */
    brownOut: (options: Options<"brown-out">) => fault({ kind: "brown-out", target: "registry", ...options }),
    /** They deregister and register in turn. */
    flappingRegistration: (target: string, options: Options<"flapping-registration">) =>
      fault({ kind: "flapping-registration", target, ...options }),
    /** They deregister, and serve on. */
    zombie: (target: string, options: Options<"zombie"> = {}) => fault({ kind: "zombie", target, ...options }),
    /** They answer health checks, and no call. */
    halfDead: (target: string, options: Options<"half-dead"> = {}) => fault({ kind: "half-dead", target, ...options }),
    /** Their event loop stands still again and again. */
    eventLoopBlock: (target: string, options: Options<"event-loop-block">) =>
      fault({ kind: "event-loop-block", target, ...options }),
    /** They get a share of a processor only. */
    slowCpu: (target: string, options: Options<"slow-cpu">) => fault({ kind: "slow-cpu", target, ...options }),
    /** Their wall clocks are wrong by `by`, and right again afterwards. */
    clockOffset: (target: string, options: Options<"clock-offset">) =>
      fault({ kind: "clock-offset", target, ...options }),
    /** Their wall clocks jump by `by`, and go on from there. */
    clockStep: (target: string, options: Options<"clock-step">) => fault({ kind: "clock-step", target, ...options }),
    /** Their wall clocks go wrong by `rate` of the time that passes. */
    clockDrift: (target: string, options: Options<"clock-drift">) => fault({ kind: "clock-drift", target, ...options }),
    /** No space is left on their disks. */
    diskFull: (target: string, options: Options<"disk-full"> = {}) => fault({ kind: "disk-full", target, ...options }),
    /** Whatever is asked of their disks takes `delay` longer. */
    slowDisk: (target: string, options: Options<"slow-disk">) => fault({ kind: "slow-disk", target, ...options }),
    /** The power goes in the middle of their next write; with `for` they are started again. */
    tornWrite: (target: string, options: Options<"torn-write"> = {}) =>
      fault({ kind: "torn-write", target, ...options }),
    /** The power goes before their next write is on the disk; with `for` they are started again. */
    lostUnsynced: (target: string, options: Options<"lost-unsynced"> = {}) =>
      fault({ kind: "lost-unsynced", target, ...options }),
    /** Publishes a document that nobody can read, and afterwards what was there before. */
    malformedRule: (key: string, options: Omit<Options<"malformed-rule">, "key">) =>
      fault({ kind: "malformed-rule", key, ...options }),
    /** Publishes a document, and afterwards what was there before. */
    rolledBackRule: (key: string, options: Omit<Options<"rolled-back-rule">, "key">) =>
      fault({ kind: "rolled-back-rule", key, ...options }),
    /** Publishes a document that reaches these nodes only. */
    halfPushedRule: (target: string, options: Options<"half-pushed-rule">) =>
      fault({ kind: "half-pushed-rule", target, ...options }),
    /** Publishes a document, behind which the one before it comes once more. */
    outOfOrderRule: (key: string, options: Omit<Options<"out-of-order-rule">, "key">) =>
      fault({ kind: "out-of-order-rule", key, ...options }),
    /** Graceful: deregisters, drains, ends. */
    stop: (target: string) => action({ kind: "stop", target }),
    /** Starts a node that was stopped or killed; a running one is stopped gracefully first. */
    restart: (target: string) => action({ kind: "restart", target }),
    /** Puts a rule document (YAML) into the config centre. */
    publish: (key: string, content: string) => action({ kind: "publish", key, content }),
    /** Raises a version's share step by step, and takes it back as soon as its calls fail too often. */
    rollout: (service: string, options: Omit<Extract<ActionSpec, { kind: "rollout" }>, "kind" | "service">) =>
      action({ kind: "rollout", service, ...options }),
    /** Deletes a rule document. */
    remove: (key: string) => action({ kind: "publish", key }),
  };
}

const ends = (link: LinkInput): { from?: string; to: string } =>
  typeof link === "string" ? { to: link } : { ...link };
