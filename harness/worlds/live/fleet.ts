import { availableParallelism } from "node:os";

import type { Clock } from "../../../runtime/ports/clock.ts";
import { inParallel, settled } from "../../parallel.ts";
import type { LinkPlan, NodePlan, Plan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import { isInfrastructure } from "../infrastructure.ts";
import type { FleetLink, FleetNode, RunningFleet, WorldOptions } from "../world.ts";

/** A node of a live fleet, with the part of its life that only its world sees. */
export interface OwnedNode extends FleetNode {
  /** Begins to run. Resolves when it listens; then `go` takes it to work. */
  start(): Promise<void>;
  go(): Promise<void>;
  /** Ends it without ceremony, whatever its state: the run is over. */
  close(): Promise<void>;
  /** Ends it now; nobody waits for it any longer. */
  abandon(): void;
}

/** A link with a proxy on it. */
export interface OwnedLink extends FleetLink {
  /** Where the proxy listens. */
  readonly address: string;
  /** The destination's life ended, or began again. */
  setDestinationAlive(isAlive: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Where a fleet lives: what a live world has of its own. */
export interface Ground {
  /** What nodes are there, for people: "processes", "containers". */
  readonly what: string;
  readonly clock: Clock;
  /** Whether a node's network is something of its own; else its cables are cut one by one, by proxies. */
  readonly hasCables: boolean;
  /** Makes a place for every node and for every link that the plan's faults touch. No node runs yet. */
  lay(links: readonly LinkPlan[]): Promise<LaidFleet>;
  /** Lets go of everything, also when `lay` failed half-way. After nodes and links were closed. */
  close(): Promise<void>;
}

export interface LaidFleet {
  readonly nodes: ReadonlyMap<string, OwnedNode>;
  /** The Docker network in which the nodes' addresses are; absent: this host's own. */
  readonly network?: string | undefined;
  /** What Prometheus counted of the nodes; absent where there is none. */
  readonly readMetrics?: RunningFleet["readMetrics"];
  readonly hear?: RunningFleet["hear"];
  /** By "from to". */
  readonly links: ReadonlyMap<string, OwnedLink>;
  /** Puts a document into the config centre; absent where there is none. */
  readonly publish: ((key: string, content: string | undefined, signal: AbortSignal) => Promise<void>) | undefined;
  /** Resolves once the registry shows all providers of these services; absent where nobody has to wait for that. */
  readonly untilShown?: (services: ReadonlySet<string>) => Promise<void>;
  /** Absent where there is no trace store. */
  readonly readSpans?: RunningFleet["readSpans"];
}

/** After an abort, the run has this long to end by itself: then its fleet is ended under it. */
const abortGraceUs = 5_000_000;

/** Runs `main` on a fleet of the plan that lives on `ground`, and leaves nothing of it. */
export async function runLive<T>(
  plan: Plan,
  options: WorldOptions,
  ground: Ground,
  main: (fleet: RunningFleet) => Promise<T>,
): Promise<T> {
  const fleet = new LiveFleet(plan, options, ground);
  let answer: T;
  try {
    options.signal.throwIfAborted();
    await fleet.start();
    answer = await main(fleet);
  } catch (error) {
    // What went wrong first explains what can't be ended now.
    await fleet.close().catch(() => undefined);
    throw error;
  }
  await fleet.close();
  return answer;
}

class LiveFleet implements RunningFleet {
  readonly clock: Clock;
  readonly #plan: Plan;
  readonly #options: WorldOptions;
  readonly #ground: Ground;
  #laid: LaidFleet = { nodes: new Map(), links: new Map(), publish: undefined };
  readonly #closing = new AbortController();
  #started: Promise<void> = Promise.resolve();
  #onAbort: (() => void) | undefined;
  #cancelGrace: () => void = () => undefined;

  constructor(plan: Plan, options: WorldOptions, ground: Ground) {
    this.clock = ground.clock;
    this.#plan = plan;
    this.#options = options;
    this.#ground = ground;
  }

  get nodes(): ReadonlyMap<string, OwnedNode> {
    return this.#laid.nodes;
  }

  get readMetrics(): RunningFleet["readMetrics"] {
    return this.#laid.readMetrics;
  }

  get hear(): RunningFleet["hear"] {
    return this.#laid.hear;
  }

  get network(): string | undefined {
    return this.#laid.network;
  }

  /**
   * Starts everything: nodes all at once; then the infrastructure gets ready, then the rules are set, then the fleet, and last the
   * consumers that aren't ours.
   */
  async start(): Promise<void> {
    const { signal } = this.#options;
    const aborted = new Promise<never>((_resolve, reject) => {
      this.#onAbort = () => {
        reject(signal.reason as Error);
        // Whatever the run does about it: what it waits for ends in the end.
        this.#cancelGrace = this.clock.after(abortGraceUs, () => {
          for (const node of this.nodes.values()) node.abandon();
        });
      };
      signal.addEventListener("abort", this.#onAbort, { once: true });
    });
    aborted.catch(() => undefined);
    this.#started = this.#startAll();
    await Promise.race([this.#started, aborted]);
  }

  link(from: string, to: string): FleetLink {
    const link = this.#laid.links.get(`${from} ${to}`);
    if (link !== undefined) return link;
    throw new WorldError(`the link ${from} → ${to} can't be touched: no fault of the plan named it`, {
      code: "UNAVAILABLE",
    });
  }

  async publish(key: string, content: string | undefined): Promise<void> {
    const { publish } = this.#laid;
    if (publish === undefined) throw new WorldError("the fleet has no config centre", { code: "UNAVAILABLE" });
    await publish(key, content, AbortSignal.any([this.#options.signal, this.#closing.signal]));
  }

  get readSpans(): RunningFleet["readSpans"] {
    return this.#laid.readSpans;
  }

  /** Ends everything, also what is only starting. What can't be ended keeps nothing else: it is told at the end. */
  async close(): Promise<void> {
    if (this.#onAbort !== undefined) this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#cancelGrace();
    this.#closing.abort(new WorldError("the fleet is being closed", { code: "UNAVAILABLE" }));
    const nodes = this.#closeNodes();
    await Promise.allSettled([nodes]);
    // What was only being laid when the run was over, is there now.
    await this.#started.catch(() => undefined);
    const lateNodes = this.#closeNodes();
    await Promise.allSettled([lateNodes]);
    const links = settled([...this.#laid.links.values()].map((link) => link.close()));
    await Promise.allSettled([links]);
    await settled([nodes, lateNodes, links, this.#ground.close()]);
  }

  #closeNodes(): Promise<void> {
    return settled([...this.nodes.values()].map((node) => node.close()));
  }

  async #startAll(): Promise<void> {
    const { onProgress } = this.#options;
    const { nodes: plans, processes, rules } = this.#plan;
    onProgress(`starting ${plans.length} ${this.#ground.what}`);
    this.#laid = await this.#ground.lay(touchedLinks(this.#plan, this.#ground));
    const all = [...this.nodes.values()];
    let ready = 0;
    const go = async (node: OwnedNode): Promise<void> => {
      await node.go();
      ready++;
      onProgress(`${ready} of ${all.length} nodes ready`);
    };
    const begin = async (node: OwnedNode): Promise<void> => {
      this.#closing.signal.throwIfAborted();
      await node.start();
    };
    // As many processes at a time as are no hindrance to one another; then the other nodes of those that several share.
    const leading = processes && new Set(processes.map(({ nodes: [first] }) => first));
    const isLeading = ({ id }: OwnedNode): boolean => leading?.has(id) ?? true;
    await inParallel(all.filter(isLeading), 2 * availableParallelism(), begin);
    const others = all.filter((node) => !isLeading(node));
    await inParallel(others, sharingAtOnce, begin);
    await Promise.all(all.filter(isInfrastructure).map(go));
    for (const { key, content } of rules) await this.publish(key, content);
    const late = new Map(plans.filter(isForeignConsumer).map(({ id, config }) => [id, calledBy(config)]));
    await Promise.all(all.filter((node) => !isInfrastructure(node) && !late.has(node.id)).map(go));
    if (late.size === 0) return;
    await this.#laid.untilShown?.(new Set(late.values()));
    await Promise.all(all.filter(({ id }) => late.has(id)).map(go));
  }
}

/** So many that no process waits for the harness, and few enough that each gets its turn soon. */
const sharingAtOnce = 64;

/**
 * A consumer that isn't ours starts after those whom it calls, as its operator would start it: dubbo-go 3.3.2, for one, misses for
 * good what Nacos tells between its first look and its subscription (docs/foreign.md).
 */
const isForeignConsumer = ({ program, foreign }: NodePlan): boolean => program === "consumer" && foreign !== undefined;

const calledBy = (config: NodePlan["config"]): string => (config["calls"] as { readonly service: string }).service;

/** Each pair that some fault of the plan names, once, in the plan's order; both its nodes are in the fleet. */
function touchedLinks({ timeline, nodes }: Plan, { hasCables }: Ground): readonly LinkPlan[] {
  const ids = new Set(nodes.map(({ id }) => id));
  const links = timeline.flatMap(({ what }) =>
    what.kind === "fault" ? [...what.links, ...(hasCables ? [] : (what.cables ?? []))] : [],
  );
  const strange = links.find(({ from, to }) => !ids.has(from) || !ids.has(to));
  if (strange !== undefined) {
    throw new WorldError(
      `a fault names the link ${strange.from} → ${strange.to}, whose nodes aren't both in the fleet`,
      {
        code: "UNAVAILABLE",
      },
    );
  }
  return [...new Map(links.map((link) => [`${link.from} ${link.to}`, link])).values()];
}
