import { ownFileOf, type Plan } from "../../scenario/plan.ts";
import { secretsOf, type SecretOf } from "../../scenario/secrets.ts";
import { WorldError } from "../error.ts";
import { embeddedInfrastructure, isInfrastructure, withInfrastructure } from "../infrastructure.ts";
import { createPublisher } from "../publisher.ts";
import { allPrimitives, type RunningFleet, type World, type WorldOptions } from "../world.ts";
import { blockedMs, Engine, outside } from "./engine.ts";
import type { Host } from "./host.ts";
import { Network } from "./network.ts";
import { SimNode, type Modules } from "./node.ts";
import { defaultParameters, type SimParameters } from "./parameters.ts";
import { SimClock, SimProcess } from "./process.ts";
import type { Recording } from "./recording.ts";
import { SimTransport } from "./transport.ts";

export interface SimWorldOptions {
  /** Default: none; `harness/cli/host.ts` makes one for Node.js. */
  readonly host: Host;
  /** What network and machines cost. Default: `defaultParameters`; what is left out is taken from there. */
  readonly parameters?: Partial<SimParameters> | undefined;
  /** Imports a module of the user's own for the simulator: nothing of the host may be in it. Default: there are none. */
  readonly load?: ((file: string) => Promise<unknown>) | undefined;
  /** Tells what those modules throw or reject that nobody catches: it is the run's failure. Default: the host is left to it. */
  readonly listenForUncaught?: ListenForUncaught | undefined;
  /** Asked for a recording at the start of each run; see `firstDifference`. Default: nothing is recorded. */
  readonly record?: (() => Recording) | undefined;
}

/** `hear` is told what the modules in `files` throw that nobody catches, until the answer is called. */
export type ListenForUncaught = (files: readonly string[], hear: (error: Error) => void) => () => void;

/** Virtual time that a fleet has to get ready. */
const readyWithinUs = 60_000_000;
/** Virtual time between two handings-over of events. */
const flushEveryUs = 100_000;

/** The simulator: thousands of nodes in one thread, in virtual time. A run is a function of (scenario, seed, code). */
export function simWorld({ host, parameters, record, load, listenForUncaught }: SimWorldOptions): World {
  return {
    name: "sim",
    primitives: allPrimitives,
    missing: async () => undefined,
    run: async (plan, options, main) => {
      const modules = load && (await modulesOf(plan, load));
      const recorder = record?.();
      const files = ownFilesOf(plan);
      const onBlocked = files.length === 0 ? undefined : (node: number): Error => blockedBy(plan, node);
      const engine = new Engine({ host, seed: plan.seed, recorder, onBlocked });
      const fleet = new SimFleet(engine, { ...defaultParameters, ...parameters }, plan, { ...options, modules });
      if (recorder !== undefined) recorder.nodes = plan.nodes.map(({ id }) => id);
      const stopListening = files.length === 0 ? undefined : listenForUncaught?.(files, (error) => engine.fail(error));
      try {
        return await engine.run(async () => {
          await fleet.start();
          return main(fleet);
        }, options.signal);
      } finally {
        stopListening?.();
      }
    },
  };
}

/**
 * The modules of the user's own, imported before time begins: how long that takes depends on the machine. What is wrong with one is for the
 * node to tell that wants it.
 */
async function modulesOf(plan: Plan, load: (file: string) => Promise<unknown>): Promise<Modules> {
  const modules = new Map<string, () => unknown>();
  for (const file of ownFilesOf(plan)) {
    try {
      const module = await load(file);
      modules.set(file, () => module);
    } catch (error) {
      modules.set(file, () => {
        throw error;
      });
    }
  }
  return async (file) => modules.get(file)!();
}

const ownFilesOf = ({ nodes }: Plan): readonly string[] => [...new Set(nodes.flatMap((node) => ownFileOf(node) ?? []))];

function blockedBy({ nodes }: Plan, number: number): WorldError {
  const node = nodes[number];
  const whose = node === undefined ? "a module of the scenario's" : `${node.id}, ${ownFileOf(node) ?? node.program},`;
  return new WorldError(`${whose} doesn't come back: it has kept everything else waiting for ${blockedMs / 1000} s`, {
    code: "UNAVAILABLE",
    hint: "a loop without an end? sim has one thread for all nodes; in --world local its own process alone would stand still",
  });
}

/** The port that every simulated program listens at. */
const port = 20_880;

class SimFleet implements RunningFleet {
  readonly clock: SimClock;
  readonly nodes: ReadonlyMap<string, SimNode>;
  readonly #engine: Engine;
  readonly #network: Network;
  readonly #plan: Plan;
  readonly #options: WorldOptions & { readonly modules: Modules | undefined };
  /** The harness itself: it is never broken, and no fault names its links. */
  readonly #harness: SimProcess;
  #publisher: ((key: string, content: string | undefined) => Promise<void>) | undefined;

  constructor(
    engine: Engine,
    parameters: SimParameters,
    plan: Plan,
    options: WorldOptions & { readonly modules: Modules | undefined },
  ) {
    this.#engine = engine;
    this.#plan = plan;
    this.#options = options;
    this.#network = new Network(engine, parameters);
    this.#harness = new SimProcess(engine, outside);
    this.clock = new SimClock(this.#harness);
    const addresses = new Map(plan.nodes.map(({ id }, number) => [id, `${hostName(number)}:${port}`]));
    const infrastructure = embeddedInfrastructure((id) => addresses.get(id));
    const secretOf = seededSecrets(engine);
    this.nodes = new Map(
      plan.nodes.map((node, number) => [
        node.id,
        new SimNode({
          plan: node,
          config: withInfrastructure(node, infrastructure, secretOf),
          tracing: plan.tracing,
          watched: plan.watched,
          hasIdentity: plan.hasMutualTls,
          number,
          clock: this.clock,
          network: this.#network,
          hostName: hostName(number),
          port,
          world: options,
          modules: options.modules,
        }),
      ]),
    );
  }

  /** Starts everything: the infrastructure first, then the rules, then the fleet. */
  async start(): Promise<void> {
    const all = [...this.nodes.values()];
    await new Promise<void>((resolve, reject) => {
      const giveUp = this.clock.after(readyWithinUs, () => {
        const late = all.filter((node) => !node.isReady).map(({ id }) => id);
        reject(
          new WorldError(`${late.length} of ${all.length} nodes don't get ready: ${late.slice(0, 5).join(", ")}`, {
            code: "NOT_READY",
            hint: "what they wait for isn't there: is every service that they call in the fleet?",
          }),
        );
      });
      this.#startAll(all).then(resolve, reject).finally(giveUp);
    });
    const flush = (): void => {
      for (const node of all) node.flush();
      this.clock.after(flushEveryUs, flush);
    };
    flush();
  }

  link(from: string, to: string): ReturnType<RunningFleet["link"]> {
    const link = this.#network.link(this.#node(from).host, this.#node(to).host);
    return {
      shape: async (shape) => link.setShape(shape),
      reset: async () => link.reset(),
    };
  }

  async publish(key: string, content: string | undefined): Promise<void> {
    this.#publisher ??= this.#connectPublisher();
    await this.#publisher(key, content);
  }

  digest(): string {
    return this.#engine.digest();
  }

  async #startAll(all: readonly SimNode[]): Promise<void> {
    let ready = 0;
    const go = async (node: SimNode): Promise<void> => {
      await node.go();
      ready++;
      this.#options.onProgress(`${ready} of ${all.length} nodes ready`);
    };
    await Promise.all(all.map((node) => node.start()));
    await Promise.all(all.filter(isInfrastructure).map(go));
    for (const { key, content } of this.#plan.rules) await this.publish(key, content);
    await Promise.all(all.filter((node) => !isInfrastructure(node)).map(go));
  }

  #node(id: string): SimNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new WorldError(`the fleet has no node ${id}`, { code: "UNAVAILABLE" });
    return node;
  }

  #connectPublisher(): (key: string, content: string | undefined) => Promise<void> {
    const { clock } = this;
    const host = this.#network.addHost("10.255.255.254", "harness", this.#harness);
    const transport = new SimTransport({ network: this.#network, host, process: this.#harness, clock });
    return createPublisher({ clock, transport, address: this.#node("config-center/0").address });
  }
}

/** "10.0.0.1" for the first node. */
function hostName(number: number): string {
  const address = number + 1;
  return `10.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/** Secrets of the seed's: a run is the same in all it sends. */
function seededSecrets({ random }: Engine): SecretOf {
  const own = random.fork("secrets");
  return secretsOf((name) => {
    const digits = own.fork(name);
    return Array.from({ length: 6 }, () => digits.uint32().toString(16).padStart(8, "0")).join("");
  });
}
