import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Transport } from "../../../runtime/ports/transport.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { DialMap } from "../../../services/control.ts";
import type { LinkPlan, NodePlan, Plan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import { createPublisher } from "../publisher.ts";
import type { FleetLink, Primitive, RunningFleet, World, WorldOptions } from "../world.ts";
import { Guardian } from "./guardian.ts";
import { LocalNode } from "./node.ts";
import { freePorts, loopback } from "./ports.ts";
import { PairProxy } from "./proxy.ts";

const primitives: ReadonlySet<Primitive> = new Set([
  "node.kill",
  "node.pause",
  "node.stop",
  "node.restart",
  "node.slow",
  "link.latency",
  "link.bandwidth",
  "link.loss",
  "link.cut",
  "link.reset",
  "link.refuse",
  "link.slow-close",
]);

/** After an abort, the run has this long to end by itself: then its fleet is ended under it. */
const abortGraceUs = 5_000_000;

/**
 * Real processes on this machine, one a node, on real sockets (loopback only). Nothing that it starts outlives it, not even when
 * it is killed itself: see `Guardian`.
 */
export function localWorld(): World {
  return {
    name: "local",
    primitives,
    missing: async () => whatIsMissing(),
    run: async (plan, options, main) => {
      options.signal.throwIfAborted();
      const fleet = new LocalFleet(plan, options);
      try {
        await fleet.start();
        return await main(fleet);
      } finally {
        await fleet.close();
      }
    },
  };
}

function whatIsMissing(): Awaited<ReturnType<World["missing"]>> {
  if (process.platform !== "win32") return undefined;
  return {
    message: "the world local needs a system with Unix signals: Windows can't pause a process",
    hint: "run it in WSL, or use --world sim",
  };
}

class LocalFleet implements RunningFleet {
  readonly clock: Clock = systemClock();
  readonly #nodes = new Map<string, LocalNode>();
  /** By "from to". */
  readonly #links = new Map<string, PairProxy>();
  readonly #plan: Plan;
  readonly #options: WorldOptions;
  readonly #guardian = new Guardian();
  readonly #transport: Transport;
  readonly #directory = join(tmpdir(), `flyball-${randomUUID()}`);
  #publish: ReturnType<typeof createPublisher> | undefined;
  readonly #closing = new AbortController();
  #started: Promise<void> = Promise.resolve();
  #onAbort: (() => void) | undefined;
  #cancelGrace: () => void = () => undefined;

  constructor(plan: Plan, options: WorldOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#transport = tripleTransport({ clock: this.clock });
  }

  get nodes(): ReadonlyMap<string, LocalNode> {
    return this.#nodes;
  }

  /** Starts everything: processes all at once; then the infrastructure gets ready, then the rules are set, then the fleet. */
  async start(): Promise<void> {
    const { signal } = this.#options;
    const aborted = new Promise<never>((_resolve, reject) => {
      this.#onAbort = () => {
        reject(signal.reason as Error);
        // Whatever the run does about it: what it waits for ends in the end.
        this.#cancelGrace = this.clock.after(abortGraceUs, () => {
          for (const node of this.#nodes.values()) node.abandon();
        });
      };
      signal.addEventListener("abort", this.#onAbort, { once: true });
    });
    aborted.catch(() => undefined);
    this.#started = this.#startAll();
    await Promise.race([this.#started, aborted]);
  }

  link(from: string, to: string): FleetLink {
    const link = this.#links.get(`${from} ${to}`);
    if (link !== undefined) return link;
    throw new WorldError(`the link ${from} → ${to} can't be touched: no fault of the plan named it`, {
      code: "UNAVAILABLE",
    });
  }

  async publish(key: string, content: string | undefined): Promise<void> {
    if (this.#publish === undefined) throw new WorldError("the fleet has no config centre", { code: "UNAVAILABLE" });
    const { signal } = this.#options;
    await this.#publish(key, content, AbortSignal.any([signal, this.#closing.signal]));
  }

  /** Ends everything, also what is only starting. */
  async close(): Promise<void> {
    if (this.#onAbort !== undefined) this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.#cancelGrace();
    this.#closing.abort(new WorldError("the fleet is being closed", { code: "UNAVAILABLE" }));
    await Promise.all([...this.#nodes.values()].map((node) => node.close()));
    await this.#started.catch(() => undefined);
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    await this.#transport.close();
    // Last: it removes the directory, and ends what hasn't ended.
    await this.#guardian.close();
  }

  async #startAll(): Promise<void> {
    const { onProgress } = this.#options;
    await this.#lay();
    const all = [...this.#nodes.values()];
    const isInfrastructure = ({ id }: LocalNode): boolean => id === "registry/0" || id === "config-center/0";
    let ready = 0;
    onProgress(`starting ${all.length} processes`);
    const go = async (node: LocalNode): Promise<void> => {
      await node.go();
      ready++;
      onProgress(`${ready} of ${all.length} nodes ready`);
    };
    await inParallel(all, 2 * availableParallelism(), async (node) => {
      this.#closing.signal.throwIfAborted();
      await node.start();
    });
    await Promise.all(all.filter(isInfrastructure).map(go));
    for (const { key, content } of this.#plan.rules) await this.publish(key, content);
    await Promise.all(all.filter((node) => !isInfrastructure(node)).map(go));
  }

  /** Gives every node an address, and every link that the plan's faults touch a proxy. */
  async #lay(): Promise<void> {
    const { nodes, seed } = this.#plan;
    const links = touchedLinks(this.#plan);
    const [ports] = await Promise.all([freePorts(nodes.length + links.length), this.#makeDirectory()]);
    const portOf = new Map(nodes.map(({ id }, index) => [id, ports[index]!]));
    const random = createRandom(seed);

    for (const [index, { from, to }] of links.entries()) {
      const destination = portOf.get(to);
      if (destination === undefined || !portOf.has(from)) {
        throw new WorldError(`a fault names the link ${from} → ${to}, whose nodes aren't both in the fleet`, {
          code: "UNAVAILABLE",
        });
      }
      const proxy = new PairProxy(
        { clock: this.clock, random: random.fork(`link ${from} ${to}`) },
        { name: `${from} → ${to}`, port: ports[nodes.length + index]!, destination },
      );
      this.#links.set(`${from} ${to}`, proxy);
    }
    await Promise.all([...this.#links.values()].map((link) => link.open()));

    const addressOf = (id: string): string | undefined => {
      const port = portOf.get(id);
      return port === undefined ? undefined : `${loopback}:${port}`;
    };
    const infrastructure = { registry: addressOf("registry/0"), configCenter: addressOf("config-center/0") };
    for (const plan of nodes) {
      const dial: Record<string, string> = {};
      for (const { from, to } of links)
        if (from === plan.id) dial[addressOf(to)!] = this.#links.get(`${from} ${to}`)!.address;
      this.#nodes.set(plan.id, this.#nodeOf(plan, infrastructure, portOf.get(plan.id)!, dial));
    }
    const { configCenter } = infrastructure;
    if (configCenter !== undefined) {
      this.#publish = createPublisher({ clock: this.clock, transport: this.#transport, address: configCenter });
    }
  }

  #nodeOf(plan: NodePlan, infrastructure: Infrastructure, port: number, dial: DialMap): LocalNode {
    const incoming = [...this.#links].filter(([key]) => key.endsWith(` ${plan.id}`)).map(([, link]) => link);
    return new LocalNode({
      plan,
      config: configOf(plan, infrastructure),
      port,
      dial,
      disk: join(this.#directory, plan.id.replaceAll("/", "-")),
      clock: this.clock,
      random: createRandom(this.#plan.seed).fork(`node ${plan.id}`),
      guardian: this.#guardian,
      world: this.#options,
      onAlive: async (isAlive) => {
        await Promise.all(incoming.map((link) => link.setDestinationAlive(isAlive)));
      },
    });
  }

  async #makeDirectory(): Promise<void> {
    this.#guardian.directory(this.#directory);
    try {
      await mkdir(this.#directory, { mode: 0o700 });
    } catch (cause) {
      throw new WorldError(`the nodes' disks can't be made: ${(cause as Error).message}`, {
        code: "UNAVAILABLE",
        hint: "name a directory that can be written to in TMPDIR",
        cause,
      });
    }
  }
}

interface Infrastructure {
  readonly registry: string | undefined;
  readonly configCenter: string | undefined;
}

function configOf({ program, config }: NodePlan, { registry, configCenter }: Infrastructure): unknown {
  if (program === "registry" || program === "config-center") return config;
  return { ...config, registry, configCenter };
}

/** Each pair that some fault of the plan names, once, in the plan's order. */
function touchedLinks({ timeline }: Plan): readonly LinkPlan[] {
  const links = timeline.flatMap(({ what }) => (what.kind === "fault" ? what.links : []));
  return [...new Map(links.map((link) => [`${link.from} ${link.to}`, link])).values()];
}

/** Works on all items, so many at a time. Rejects with the first failure; nothing new is begun then. */
async function inParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  let isFailed = false;
  const worker = async (): Promise<void> => {
    for (const item of left) {
      if (isFailed) return;
      try {
        await work(item);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
