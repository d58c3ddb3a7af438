import type Docker from "dockerode";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

import { epochOf, systemClock } from "../../../runtime/node/clock.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import type { TlsIdentity } from "../../../runtime/security/tls-identity.ts";
import type { Transport } from "../../../runtime/ports/transport.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import { createRandom } from "../../../runtime/random.ts";
import type { DialMap, Tracing } from "../../../services/control.ts";
import { openJaeger, type FoundSpan, type SpanId } from "../../history/jaeger.ts";
import { settled, untilAborted } from "../../parallel.ts";
import { filledIn, type Placeholder } from "../../scenario/foreign.ts";
import type { ForeignPlan, LinkPlan, NodePlan, Plan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import {
  embeddedInfrastructure,
  isInfrastructure,
  isTouched,
  withInfrastructure,
  type Infrastructure,
} from "../infrastructure.ts";
import { runLive, type Ground, type LaidFleet, type OwnedLink, type OwnedNode } from "../live/fleet.ts";
import { freshIdentities } from "../live/identities.ts";
import { LiveNode } from "../live/node.ts";
import { programs, type NodeArguments } from "../live/programs.ts";
import { freshSecrets } from "../live/secrets.ts";
import { createPublisher } from "../publisher.ts";
import { allPrimitives, type LinkShape, type World, type WorldOptions } from "../world.ts";
import type { Container } from "./container.ts";
import { obstacleTo, openEngine } from "./engine.ts";
import { ForeignNode } from "./foreign-node.ts";
import { withName, withNames } from "./instance-names.ts";
import { foreignFile, Invocation, nodePort, project, type Sandbox } from "./invocation.ts";
import { NodeContainer } from "./node-container.ts";
import { ownModule } from "./own-module.ts";
import { createRealPublisher, registries, untilShown, type RegistryKind } from "./registries.ts";
import { metricsPort, Scraping } from "./scraping.ts";
import { ServerNode } from "./server-node.ts";
import {
  durableSeata,
  jaeger,
  jaegerPorts,
  postgres,
  postgresPort,
  seataPort,
  type RunningServer,
  type ServerKind,
} from "./servers.ts";

/**
 * Containers on a network of their own, one a node, around real servers. What is started first serves every run of the
 * invocation, until `close`; nothing outlives this process, not even when it is killed: see `Invocation`.
 */
export function dockerWorld(): World {
  const docker: Docker = openEngine();
  let invocation: Promise<Invocation> | undefined;
  let runs = 0;
  /** Runs side by side have places of their own. */
  const lanes = new Set<number>();
  return {
    name: "docker",
    primitives: allPrimitives,
    missing: () => obstacleTo(docker),
    refuses: whatIsNotBuilt,
    run: async (plan, options, main) => {
      invocation ??= Invocation.open(docker, options.onProgress);
      const opened = await invocation.catch((error: unknown) => {
        invocation = undefined;
        throw error;
      });
      let lane = 0;
      while (lanes.has(lane)) lane++;
      lanes.add(lane);
      try {
        const ground = new DockerGround(plan, options, { invocation: opened, run: `run-${++runs}`, lane });
        return await runLive(plan, options, ground, main);
      } finally {
        lanes.delete(lane);
      }
    },
    close: async () => {
      const opened = await invocation?.catch(() => undefined);
      invocation = undefined;
      await opened?.close();
    },
  };
}

/** Foreign programs that are files of the project must be there. */
function whatIsNotBuilt({ nodes }: Plan): ReturnType<NonNullable<World["refuses"]>> {
  const files = nodes.flatMap(({ foreign }) => foreignFile(foreign) ?? []);
  const file = files.find((each) => !existsSync(resolve(project, each)));
  if (file === undefined) return undefined;
  return {
    message: `there is no file ${file} in the project: a foreign program that isn't built`,
    hint: "npm run foreign builds the dubbo-go programs; it needs Go 1.25 or newer",
  };
}

/** One run's part of an invocation: a place and a container for each node, a proxy for each touched link, the registry. */
class DockerGround implements Ground {
  readonly what = "containers";
  readonly hasCables = true;
  readonly clock: Clock = systemClock();
  readonly #plan: Plan;
  readonly #world: WorldOptions;
  readonly #invocation: Invocation;
  /** Names this run among those that share a server. */
  readonly #run: string;
  /** Whose places it uses: no other run's at the same time. */
  readonly #lane: number;
  /** To the config centre alone, which is dialled where this machine reaches it at that moment. */
  readonly #transport: Transport;
  readonly #identityOf: ((service: string) => TlsIdentity) | undefined;
  readonly #containers: Container[] = [];
  /** What `lay` has begun: when it fails half-way, what is there only later goes, too. */
  readonly #begun: Promise<unknown>[] = [];
  /** Links that nobody else closes yet: the proxies outlive a run whose fleet isn't laid. */
  #ownLinks: OwnedLink[] = [];
  readonly #closing = new AbortController();
  #configCenter: Sandbox | undefined;
  /** Node ids by address. */
  readonly #names = new Map<string, string>();
  #scraping: Scraping | undefined;
  /** What a process with these nodes runs; laid with the rest. */
  #programFor!: (nodes: readonly NodePlan[]) => NodeArguments;
  #closePublisher: () => Promise<void> = () => Promise.resolve();

  constructor(
    plan: Plan,
    world: WorldOptions,
    at: { readonly invocation: Invocation; readonly run: string; readonly lane: number },
  ) {
    this.#plan = plan;
    this.#identityOf = plan.hasMutualTls ? freshIdentities(this.clock.wallMs()) : undefined;
    this.#transport = tripleTransport({
      clock: this.clock,
      dial: (address) => this.#configCenter?.published() ?? address,
      tls: this.#identityOf?.("harness"),
    });
    const isMixed = plan.nodes.some(({ foreign }) => foreign !== undefined);
    this.#world = isMixed
      ? { ...world, onEvents: (node, events) => world.onEvents(node, withNames(events, this.#names)) }
      : world;
    this.#invocation = at.invocation;
    this.#run = at.run;
    this.#lane = at.lane;
  }

  async lay(links: readonly LinkPlan[]): Promise<LaidFleet> {
    const { nodes } = this.#plan;
    const secretOf = freshSecrets();
    const real = this.#plan.registry === "embedded" ? undefined : registries[this.#plan.registry];
    const isReal = ({ id }: NodePlan): boolean =>
      id === coordinatorId || id === databaseId ? this.#hasSeata : real !== undefined && isInfrastructure({ id });
    const coming = Promise.all([
      this.#places(nodes.filter((node) => !isReal(node))),
      real === undefined ? undefined : this.#registryServer(real),
      this.#hasSeata ? this.#bankServers() : undefined,
      this.#plan.isScraped ? this.#scrape() : undefined,
      this.#plan.tracing && this.#invocation.sharedServer(jaeger, this.#world.onProgress),
      programs(),
    ]);
    // A server takes its time to get ready: who interrupts a run doesn't wait for it.
    const [sandboxes, server, bank, scraping, traceStore, programFor] = await untilAborted(coming, this.#world.signal);
    this.#programFor = programFor;
    this.#configCenter = sandboxes.get("config-center/0");
    for (const [id, { ip }] of sandboxes) this.#names.set(`${ip}:${nodePort}`, id);
    const tracing = traceStore && tracingTo(traceStore, this.#plan, this.#run);
    const serverOf = (id: string): { readonly laid: LaidServer | undefined; readonly ports: readonly number[] } => {
      if (id === coordinatorId) return { laid: bank?.seata, ports: [seataPort] };
      if (id === databaseId) return { laid: bank?.postgres, ports: [postgresPort] };
      return { laid: server, ports: real?.ports ?? [] };
    };
    /** Where each node is; a real registry has several ports. */
    const addressesOf = (id: string): readonly string[] => {
      const sandbox = sandboxes.get(id);
      if (sandbox !== undefined) return [`${sandbox.ip}:${nodePort}`];
      const { laid, ports } = serverOf(id);
      return laid === undefined ? [] : ports.map((port) => `${laid.container.spec.ip}:${port}`);
    };
    const proxies = await this.#openLinks(links, addressesOf);
    const ours = embeddedInfrastructure((id) => addressesOf(id)[0]);
    const infrastructure: Infrastructure = {
      ...ours,
      ...(real !== undefined && urlsOf(real, ours.registry!, this.#part(real))),
      ...(bank !== undefined && { coordinator: `seata://${ours.coordinator!}`, databaseOf: bank.databaseOf }),
    };
    const all = await Promise.all(
      nodes.map(async (plan): Promise<OwnedNode> => {
        const incoming = links.filter(({ to }) => to === plan.id).map(({ from, to }) => proxies.get(`${from} ${to}`)!);
        const onAlive = async (isAlive: boolean): Promise<void> => {
          await Promise.all(incoming.map((link) => link.setDestinationAlive(isAlive)));
        };
        const sandbox = sandboxes.get(plan.id);
        if (sandbox === undefined) {
          const { running, isOwn } = serverOf(plan.id).laid!;
          const address = addressesOf(plan.id)[0]!;
          const { network } = this.#invocation;
          return new ServerNode(plan.id, { address, server: running, isOwn, network, onAlive });
        }
        const dial = Object.assign(
          {},
          ...links.filter(({ from }) => from === plan.id).map(({ from, to }) => proxies.get(`${from} ${to}`)!.dial),
        ) as DialMap;
        if (plan.foreign !== undefined) {
          const address = addressesOf("registry/0")[0]!;
          const place = {
            sandbox,
            onAlive,
            tracing,
            infrastructure: urlsOf(real!, dial[address] ?? address, this.#part(real!)),
            addressOf: (id: string) => addressesOf(id)[0]!,
          };
          return this.#begin(this.#foreignNodeOf(plan, plan.foreign, place));
        }
        const config = withInfrastructure(plan, infrastructure, secretOf);
        return this.#begin(this.#nodeOf(plan, { sandbox, dial, config, tracing, onAlive }));
      }),
    );
    this.#ownLinks = [];
    return {
      nodes: new Map(all.map((node) => [node.id, node])),
      links: proxies,
      network: this.#invocation.network.name,
      hear: scraping && ((record) => scraping.hear(record)),
      readMetrics: scraping && (() => scraping.read(all.filter((node) => node instanceof LiveNode))),
      publish: this.#publisher(real, server?.running),
      ...(real !== undefined && { untilShown: (services) => this.#untilShown(real, server!.running, services) }),
      readSpans: traceStore && ((reported) => this.#readSpans(traceStore, reported)),
    };
  }

  async close(): Promise<void> {
    this.#closing.abort(new WorldError("the fleet is being closed", { code: "UNAVAILABLE" }));
    await Promise.allSettled(this.#begun);
    await settled([
      ...this.#ownLinks.map((link) => link.close()),
      this.#scraping?.close() ?? Promise.resolve(),
      this.#closePublisher(),
      this.#transport.close(),
      ...this.#containers.map((container) => container.remove()),
    ]);
  }

  #begin<T>(work: Promise<T>): Promise<T> {
    this.#begun.push(work);
    return work;
  }

  async #places(nodes: readonly NodePlan[]): Promise<ReadonlyMap<string, Sandbox>> {
    const places = await Promise.all(
      nodes.map(async ({ id, program }, index) => {
        // From outside, only the config centre is talked to.
        const isPublished = program === "config-center";
        const name = isPublished ? id : `node-${index}`;
        return [id, await this.#invocation.sandbox(`${name}-${this.#lane}`, { isPublished })] as const;
      }),
    );
    return new Map(places);
  }

  async #scrape(): Promise<Scraping> {
    const { clock } = this;
    const { onProgress } = this.#world;
    this.#scraping = await Scraping.start(this.#invocation, { clock, run: this.#run, onProgress });
    return this.#scraping;
  }

  get #hasSeata(): boolean {
    return this.#plan.coordinator === "seata";
  }

  #registryServer(kind: RegistryKind): Promise<LaidServer> {
    return this.#server(kind.server, {
      isOwn: isTouched(this.#plan, "registry/0", "config-center/0") || this.#part(kind) === undefined,
    });
  }

  /** A Seata, and a PostgreSQL in which account and stock have databases of their own. */
  async #bankServers(): Promise<LaidBank> {
    const [seata, database] = await Promise.all([
      this.#server(durableSeata, { isOwn: isTouched(this.#plan, coordinatorId) }),
      this.#server(postgres, { isOwn: isTouched(this.#plan, databaseId) }),
    ]);
    const { container } = database;
    const databaseOf = (id: string): string =>
      `postgres://flyball:flyball@${container.spec.ip}:${postgresPort}/${this.#databaseName(id)}`;
    for (const { id, program } of this.#plan.nodes) {
      if (program !== "account" && program !== "stock") continue;
      const { code, output } = await container.run("createdb", "-U", "flyball", this.#databaseName(id));
      if (code === 0) continue;
      throw new WorldError(`no database can be made for ${id}: ${output.trim()}`, { code: "UNAVAILABLE" });
    }
    return { seata, postgres: database, databaseOf };
  }

  #databaseName(id: string): string {
    return `${this.#run}-${id}`.replaceAll(/[^a-z0-9]/g, "_");
  }

  /** The server that all runs share, or one for this run alone. */
  async #server(server: ServerKind, { isOwn }: { readonly isOwn: boolean }): Promise<LaidServer> {
    const { onProgress } = this.#world;
    onProgress(`starting ${server.image}`);
    const signal = AbortSignal.any([this.#world.signal, this.#closing.signal]);
    const running = isOwn
      ? await this.#begin(this.#invocation.ownServer(server, `${server.image}-of-${this.#run}`, onProgress, { signal }))
      : await this.#invocation.sharedServer(server, onProgress);
    if (isOwn) this.#containers.push(running.container);
    return { running, isOwn, container: running.container };
  }

  /** The name of this run's part of the registry; undefined where all of it is this run's. */
  #part({ isShareable }: RegistryKind): string | undefined {
    const hasForeign = this.#plan.nodes.some(({ foreign }) => foreign !== undefined);
    return hasForeign && !isShareable ? undefined : this.#run;
  }

  async #openLinks(
    links: readonly LinkPlan[],
    addressesOf: (id: string) => readonly string[],
  ): Promise<ReadonlyMap<string, DialedLink>> {
    if (links.length === 0) return new Map();
    const proxies = await this.#invocation.proxies();
    const random = createRandom(this.#plan.seed);
    const opened = await Promise.all(
      links.map(async ({ from, to }) => {
        const seed = random.fork(`link ${from} ${to}`).uint32();
        const parts = await Promise.all(
          addressesOf(to).map(async (address) => {
            const [host, port] = address.split(":") as [string, string];
            const link = `${this.#run} ${from} → ${to} (${port})`;
            const destination = { host, port: Number(port) };
            const opened = await this.#begin(proxies.open({ link, seed, destination }));
            this.#ownLinks.push(opened);
            return { address, link: opened };
          }),
        );
        return [`${from} ${to}`, joined(parts)] as const;
      }),
    );
    return new Map(opened);
  }

  async #nodeOf(
    plan: NodePlan,
    place: {
      readonly sandbox: Sandbox;
      readonly dial: DialMap;
      readonly config: unknown;
      readonly tracing: Tracing | undefined;
      readonly onAlive: (isAlive: boolean) => Promise<void>;
    },
  ): Promise<LiveNode> {
    const { sandbox, onAlive, ...rest } = place;
    const scraping = this.#scraping;
    await scraping?.add(plan.id, sandbox.ip);
    const own = ownModule(plan);
    const disk = join(this.#invocation.directory, `${this.#run}-${plan.id.replaceAll("/", "-")}`);
    await mkdir(disk);
    const container = await this.#invocation.program(this.#programFor([plan]), {
      role: plan.id,
      network: sandbox.network,
      command: [plan.program],
      env: { FLYBALL_CONTROL: "stdio" },
      disk,
      mounts: own === undefined ? [] : [own.mount],
    });
    this.#containers.push(container);
    return new LiveNode({
      plan,
      tls: this.#identityOf?.(plan.service),
      watched: this.#plan.watched,
      ...rest,
      config: own === undefined ? rest.config : { ...(rest.config as object), own: own.config },
      listen: `0.0.0.0:${nodePort}`,
      advertise: `${sandbox.ip}:${nodePort}`,
      isExposed: true,
      network: sandbox,
      ...(scraping !== undefined && {
        metrics: `0.0.0.0:${metricsPort}`,
        beforeEnd: () => scraping.untilScraped(plan.id),
      }),
      onAlive: async (isAlive) => {
        if (!isAlive) scraping?.ended(plan.id);
        await onAlive(isAlive);
      },
      clock: this.clock,
      readyWithinUs,
      random: createRandom(this.#plan.seed).fork(`node ${plan.id}`),
      world: this.#world,
      launch: ({ onRecords }) => NodeContainer.start(container, { node: plan.id, onRecords }),
    });
  }

  async #foreignNodeOf(
    plan: NodePlan,
    foreign: ForeignPlan,
    place: {
      readonly sandbox: Sandbox;
      readonly infrastructure: Pick<Infrastructure, "registry" | "configCenter">;
      readonly addressOf: (id: string) => string;
      readonly tracing: Tracing | undefined;
      readonly onAlive: (isAlive: boolean) => Promise<void>;
    },
  ): Promise<ForeignNode> {
    const { sandbox, infrastructure, addressOf, tracing, onAlive } = place;
    const { registry = "", configCenter = "" } = infrastructure;
    const [, registryAddress = ""] = /^[^:]+:\/\/([^/?]+)/.exec(registry) ?? [];
    const [service, index] = plan.id.split("/") as [string, string];
    const calls = plan.config["calls"] as { readonly service: string } | undefined;
    const providers = this.#plan.nodes.filter(({ service }) => service === calls?.service);
    const values: Readonly<Record<Placeholder, string>> = {
      registry,
      registryAddress,
      configCenter,
      otlp: tracing?.otlp?.replace(/^http:\/\//, "") ?? "",
      ip: sandbox.ip,
      port: String(nodePort),
      node: plan.id,
      service,
      index,
      calls: calls?.service ?? "",
      providers: providers.map(({ id }) => `${id}=${addressOf(id)}`).join(","),
      tag: plan.tag ?? "",
      weight: String(plan.weight),
    };
    const container = await this.#invocation.foreignProgram(
      { image: foreign.image, command: foreign.command?.map((text) => filledIn(text, values)) },
      {
        role: plan.id,
        network: sandbox.network,
        env: Object.fromEntries(
          Object.entries(foreign.environment).map(([name, text]) => [name, filledIn(text, values)]),
        ),
        onProgress: this.#world.onProgress,
      },
    );
    this.#containers.push(container);
    const { id } = plan;
    const address = `${sandbox.ip}:${nodePort}`;
    return new ForeignNode({
      id,
      address,
      plan: foreign,
      container,
      sandbox,
      clock: this.clock,
      world: this.#world,
      onAlive,
    });
  }

  async #readSpans(traceStore: RunningServer, reported: Iterable<SpanId>): Promise<readonly FoundSpan[]> {
    const { clock } = this;
    const url = `http://${traceStore.addressOf(jaegerPorts.query)}`;
    const jaeger = openJaeger({ url, clock, epochUs: epochOf(clock) });
    const found = await jaeger.readBack(reported, { signal: this.#world.signal });
    return found.map(({ node, span }) => ({ node, span: withName(span, this.#names) }));
  }

  async #untilShown(real: RegistryKind, server: RunningServer, services: ReadonlySet<string>): Promise<void> {
    const { signal, onProgress } = this.#world;
    const providers = this.#plan.nodes.filter(
      ({ program, service }) => program === "provider" && services.has(service),
    );
    const expected = Map.groupBy(providers, ({ service }) => service);
    onProgress(`waiting for the registry to show ${providers.length} providers`);
    const counts = new Map([...expected].map(([service, { length }]) => [service, length]));
    const look = { clock: this.clock, server, run: this.#part(real), withinUs: shownWithinUs, signal };
    const isShown = await untilAborted(untilShown(real, counts, look), signal);
    // Some are never shown, for that may be what a scenario is about.
    if (!isShown) onProgress(`the registry doesn't show them all after ${shownWithinUs / 1e6} s: going on`);
  }

  #publisher(real: RegistryKind | undefined, server: RunningServer | undefined): LaidFleet["publish"] {
    if (real !== undefined) {
      const publisher = createRealPublisher(real, { clock: this.clock, server: server!, run: this.#part(real) });
      this.#closePublisher = publisher.close;
      return publisher.publish;
    }
    if (this.#configCenter === undefined) return undefined;
    const address = `${this.#configCenter.ip}:${nodePort}`;
    return createPublisher({ clock: this.clock, transport: this.#transport, address });
  }
}

/** A container's program gets less of a busy machine than a process does: what hangs is told a little later than in `local` (µs). */
const readyWithinUs = 60_000_000;

/** Time that all providers have to show up in a real registry before consumers that aren't ours are started. */
const shownWithinUs = 30_000_000;

interface LaidServer {
  readonly running: RunningServer;
  readonly isOwn: boolean;
  readonly container: Container;
}

/** A link, and whom its source dials instead of whom. */
interface DialedLink extends OwnedLink {
  readonly dial: DialMap;
}

/** The links to a destination's ports as one. */
function joined(parts: readonly { readonly address: string; readonly link: OwnedLink }[]): DialedLink {
  const all = async (act: (link: OwnedLink) => Promise<void>): Promise<void> => {
    await Promise.all(parts.map(({ link }) => act(link)));
  };
  return {
    address: parts[0]!.link.address,
    dial: Object.fromEntries(parts.map(({ address, link }) => [address, link.address])),
    shape: (shape: LinkShape) => all((link) => link.shape(shape)),
    reset: () => all((link) => link.reset()),
    setDestinationAlive: (isAlive) => all((link) => link.setDestinationAlive(isAlive)),
    close: () => all((link) => link.close()),
  };
}

/** What serves the bank of a run whose coordinator isn't ours. */
interface LaidBank {
  readonly seata: LaidServer;
  readonly postgres: LaidServer;
  readonly databaseOf: (id: string) => string;
}

const coordinatorId = "coordinator/0";
const databaseId = "database/0";

/** Spans go to the store over the run's own network, under the run's own name: others may share it. */
function tracingTo(traceStore: RunningServer, { tracing }: Plan, run: string): Tracing | undefined {
  return tracing && { ...tracing, otlp: `http://${traceStore.container.spec.ip}:${jaegerPorts.otlp}`, run };
}

function urlsOf(
  { url }: RegistryKind,
  address: string,
  run: string | undefined,
): Pick<Infrastructure, "registry" | "configCenter"> {
  return { registry: url(address, run), configCenter: url(address, run) };
}
