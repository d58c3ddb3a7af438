import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import type { TlsIdentity } from "../../../runtime/security/tls-identity.ts";
import type { Transport } from "../../../runtime/ports/transport.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { DialMap } from "../../../services/control.ts";
import { settled } from "../../parallel.ts";
import type { LinkPlan, NodePlan, Plan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import { embeddedInfrastructure, withInfrastructure } from "../infrastructure.ts";
import { runLive, type Ground, type LaidFleet } from "../live/fleet.ts";
import { Guardian } from "../live/guardian.ts";
import { freshIdentities } from "../live/identities.ts";
import { LiveNode, type LiveNodeOptions } from "../live/node.ts";
import { programs, type NodeArguments } from "../live/programs.ts";
import { PairProxy } from "../live/proxy.ts";
import { freshSecrets } from "../live/secrets.ts";
import { createPublisher } from "../publisher.ts";
import { allPrimitives, type World, type WorldOptions } from "../world.ts";
import { freePorts, loopback, loopbackHosts, NoPortError } from "../../../runtime/node/free-ports.ts";
import { PackProcess } from "./pack.ts";
import { NodeProcess } from "./process.ts";

/**
 * Real processes on this machine, one a node unless the plan lets nodes share them, on real sockets (loopback only). Nothing that it
 * starts outlives it, not even when it is killed itself: see `Guardian`.
 */
export function localWorld(): World {
  return {
    name: "local",
    primitives: allPrimitives,
    missing: async () => whatIsMissing(),
    refuses: ({ nodes, processes }) =>
      whatIsTooMany({ nodes: nodes.length, processes: processes?.length ?? nodes.length }, process.availableMemory()),
    run: (plan, options, main) => runLive(plan, options, new LocalGround(plan, options), main),
  };
}

function whatIsMissing(): Awaited<ReturnType<World["missing"]>> {
  if (process.platform !== "win32") return undefined;
  return {
    message: "the world local needs a system with Unix signals: Windows can't pause a process",
    hint: "run it in WSL, or use --world sim",
  };
}

/** What hangs is told soon: a process that works listens within a second, on a busy machine within a few (µs). */
const readyWithinUs = 15_000_000;

/** What a process costs at the least, beside the pages that all of them share; and a node in a process that it shares. */
const processBytesMin = 40 * 2 ** 20;
const nodeBytesMin = 2 ** 19;

/** A fleet that the machine has no memory for would take everything else down with it: it isn't even begun. */
export function whatIsTooMany(
  { nodes, processes }: { readonly nodes: number; readonly processes: number },
  memoryBytes: number,
): ReturnType<NonNullable<World["refuses"]>> {
  const bytes = processes * processBytesMin + (nodes - processes) * nodeBytesMin;
  if (bytes <= memoryBytes) return undefined;
  const gibibytes = (count: number): string => `${(count / 2 ** 30).toFixed(1)} GiB`;
  // However few processes they share, nodes take something themselves.
  const most = Math.max(0, Math.floor((memoryBytes - nodes * nodeBytesMin) / (processBytesMin - nodeBytesMin)));
  const fewer = most === 0 ? "have fewer nodes" : `have at most ${most} processes: --pack N lets nodes share them`;
  const what = processes < nodes ? `${processes} processes with ${nodes} nodes` : `${nodes} processes`;
  return {
    message: `its ${what} need at least ${gibibytes(bytes)} of memory, and ${gibibytes(memoryBytes)} are available`,
    hint: `${fewer}; or use --world sim, which runs thousands`,
  };
}

/**
 * This machine: a port of loopback and a directory for each node, a proxy for each touched link. Where nodes share processes each has an
 * address of its own, too, so that rules which go by the host tell them apart as ever.
 */
class LocalGround implements Ground {
  readonly what = "processes";
  readonly hasCables = false;
  readonly clock: Clock = systemClock();
  readonly #plan: Plan;
  readonly #world: WorldOptions;
  readonly #guardian = new Guardian();
  readonly #secretOf = freshSecrets();
  readonly #identityOf: ((service: string) => TlsIdentity) | undefined;
  readonly #transport: Transport;
  readonly #directory = join(tmpdir(), `flyball-${randomUUID()}`);
  readonly #packs: readonly PackProcess[];
  /** Of nodes that share a process. */
  readonly #packOf: ReadonlyMap<string, PackProcess>;
  /** What a process with these nodes runs; laid with the rest. */
  #programFor!: (nodes: readonly NodePlan[]) => NodeArguments;

  constructor(plan: Plan, world: WorldOptions) {
    this.#plan = plan;
    this.#world = world;
    this.#identityOf = plan.hasMutualTls ? freshIdentities(this.clock.wallMs()) : undefined;
    this.#transport = tripleTransport({ clock: this.clock, tls: this.#identityOf?.("harness") });
    const shared = (plan.processes ?? []).filter(({ nodes }) => nodes.length > 1);
    const packs = shared.map(({ nodes }) => {
      const packed = plan.nodes.filter(({ id }) => nodes.includes(id));
      const main = (): NodeArguments => this.#programFor(packed);
      const pack = new PackProcess({ nodes, main, directory: this.#directory, guardian: this.#guardian });
      return { nodes, pack };
    });
    this.#packs = packs.map(({ pack }) => pack);
    this.#packOf = new Map(packs.flatMap(({ nodes, pack }) => nodes.map((id) => [id, pack])));
  }

  async lay(links: readonly LinkPlan[]): Promise<LaidFleet> {
    const { nodes, seed, processes } = this.#plan;
    const hosts = processes === undefined ? nodes.map(() => loopback) : await loopbackHosts(nodes.length);
    const [ports, programFor] = await Promise.all([
      portsFor(nodes.length + links.length, (index) => hosts[index] ?? loopback),
      programs(),
      this.#makeDirectory(),
    ]);
    this.#programFor = programFor;
    const placeOf = new Map(nodes.map(({ id }, index) => [id, { host: hosts[index]!, port: ports[index]! }]));
    const random = createRandom(seed);

    const proxies = new Map(
      links.map(({ from, to }, index) => {
        const listen = { host: loopback, port: ports[nodes.length + index]! };
        const destination = placeOf.get(to)!;
        const own = random.fork(`link ${from} ${to}`);
        const proxy = new PairProxy(
          { clock: this.clock, random: own },
          { name: `${from} → ${to}`, listen, destination },
        );
        return [`${from} ${to}`, proxy];
      }),
    );
    await Promise.all([...proxies.values()].map((proxy) => proxy.open()));

    const addressOf = (id: string): string | undefined => {
      const place = placeOf.get(id);
      return place === undefined ? undefined : `${place.host}:${place.port}`;
    };
    const infrastructure = embeddedInfrastructure(addressOf);
    const dialOf = ({ id }: NodePlan): DialMap => {
      const own = links.filter(({ from }) => from === id);
      return Object.fromEntries(own.map(({ from, to }) => [addressOf(to)!, proxies.get(`${from} ${to}`)!.address]));
    };
    const { configCenter } = infrastructure;
    return {
      nodes: new Map(
        nodes.map((node) => {
          const proxiesOf = (isOurs: (link: LinkPlan) => boolean): readonly PairProxy[] =>
            links.filter(isOurs).map(({ from, to }) => proxies.get(`${from} ${to}`)!);
          const incoming = proxiesOf(({ to }) => to === node.id);
          const cables = [...incoming, ...proxiesOf(({ from }) => from === node.id)];
          const place = {
            listen: addressOf(node.id)!,
            dial: dialOf(node),
            config: withInfrastructure(node, infrastructure, this.#secretOf),
            network: {
              disconnect: () => each(cables, (cable) => cable.setConnected(false)),
              reconnect: () => each(cables, (cable) => cable.setConnected(true)),
            },
          };
          return [node.id, this.#nodeOf(node, place, incoming)];
        }),
      ),
      links: proxies,
      publish:
        configCenter === undefined
          ? undefined
          : createPublisher({ clock: this.clock, transport: this.#transport, address: configCenter }),
    };
  }

  async close(): Promise<void> {
    try {
      await settled([this.#transport.close(), ...this.#packs.map((pack) => pack.close())]);
    } finally {
      // Last: it removes the directory, and ends what hasn't ended.
      await this.#guardian.close();
    }
  }

  #nodeOf(
    plan: NodePlan,
    place: Pick<LiveNodeOptions, "listen" | "dial" | "config" | "network">,
    incoming: readonly PairProxy[],
  ): LiveNode {
    const disk = join(this.#directory, plan.id.replaceAll("/", "-"));
    return new LiveNode({
      plan,
      tracing: this.#plan.tracing,
      watched: this.#plan.watched,
      tls: this.#identityOf?.(plan.service),
      ...place,
      clock: this.clock,
      readyWithinUs,
      random: createRandom(this.#plan.seed).fork(`node ${plan.id}`),
      world: this.#world,
      launch: ({ onRecords }) =>
        this.#packOf.get(plan.id)?.launch(plan.id, onRecords) ??
        new NodeProcess({
          node: plan.id,
          program: plan.program,
          main: this.#programFor([plan]),
          disk,
          guardian: this.#guardian,
          onRecords,
        }),
      onAlive: (isAlive) => each(incoming, (link) => link.setDestinationAlive(isAlive)),
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

async function each(proxies: readonly PairProxy[], act: (proxy: PairProxy) => Promise<void>): Promise<void> {
  await Promise.all(proxies.map(act));
}

async function portsFor(count: number, hostOf: (index: number) => string): Promise<readonly number[]> {
  try {
    return await freePorts(count, hostOf);
  } catch (cause) {
    if (!(cause instanceof NoPortError)) throw cause;
    throw new WorldError(cause.message, { code: "UNAVAILABLE", hint: "end what holds them: ss -tlnp says who", cause });
  }
}
