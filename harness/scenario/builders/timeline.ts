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
