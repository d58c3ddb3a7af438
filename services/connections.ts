import { createClient, type Client, type ServiceSettings } from "../runtime/call/client.ts";
import { codecNames, codecFamilies } from "../runtime/codec/table.ts";
import { createEmbeddedConfigCenter } from "../runtime/configuration/embedded.ts";
import { createEmbeddedRegistry } from "../runtime/discovery/embedded.ts";
import type { ConfigCenter } from "../runtime/ports/config-center.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import { nested, schemeOf, type ConfigReader } from "./config.ts";
import { parseProtection } from "./protection.ts";
import { parseCredentials } from "./guard.ts";
import { Worker } from "./proto/worker_pb.ts";
import { parseRetries } from "./retries.ts";
import { ConfigError, type NodeContext } from "./service.ts";

/** Where a node finds the infrastructure, and who it is there. */
export interface InfrastructureConfig {
  /** The embedded registry's "host:port", or another's URL: "zookeeper://127.0.0.1:2181". */
  readonly registry: string;
  /** The config centre, likewise. Default: none, and no rules. */
  readonly configCenter: string | undefined;
  /** Default 6000. */
  readonly sessionTimeoutMs: number | undefined;
  /** The application's name, by which application-level rules are found. */
  readonly application: string;
}

export function parseInfrastructure(reader: ConfigReader, application?: string): InfrastructureConfig {
  return {
    registry: reader.requiredInfrastructure("registry"),
    configCenter: reader.infrastructure("configCenter"),
    sessionTimeoutMs: reader.number("sessionTimeoutMs", { min: 100, max: 600_000 }),
    application:
      application === undefined ? reader.requiredText("application") : reader.text("application", application),
  };
}

/** How a node calls a service: its name, and `ServiceSettings`. */
export interface CallsConfig extends ServiceSettings {
  readonly service: string;
}

export function parseCalls(reader: ConfigReader): CallsConfig {
  const config: CallsConfig = {
    service: reader.requiredText("service"),
    timeoutMs: reader.number("timeoutMs", { min: 0.001 }),
    attemptTimeoutMs: reader.number("attemptTimeoutMs", { min: 0.001 }),
    ...parseRetries(reader),
    balancer: reader.text("balancer"),
    hash: parseHash(reader.object("hash")),
    weightedRoundRobin: nested(reader, "weightedRoundRobin", (own) => ({
      blackoutMs: own.number("blackoutMs", { min: 0, max: 3_600_000 }),
      weightExpirationMs: own.number("weightExpirationMs", { min: 0.001, max: 3_600_000 }),
      weightUpdateMs: own.number("weightUpdateMs", { min: 100, max: 3_600_000 }),
      errorUtilizationPenalty: own.number("errorUtilizationPenalty", { min: 0 }),
    })),
    methodTimeoutsMs: parseMethodTimeouts(reader.object("methodTimeoutsMs")),
    deadlineMarginMs: reader.number("deadlineMarginMs", { min: 0, max: 3_600_000 }),
    ...parseProtection(reader),
    codecs: codecFamilies[reader.choice("codec", codecNames) ?? ""],
    credentials: parseCredentials(reader.object("credentials")),
    directory: parseDirectory(reader.object("directory")),
  };
  reader.end();
  return config;
}

function parseMethodTimeouts(reader: ConfigReader | undefined): Readonly<Record<string, number>> | undefined {
  return reader && Object.fromEntries(reader.keys().map((name) => [name, reader.requiredNumber(name, { min: 0.001 })]));
}

function parseHash(reader: ConfigReader | undefined): ServiceSettings["hash"] {
  if (reader === undefined) return undefined;
  const nodes = reader.number("nodes", { min: 4, max: 4096, isInteger: true });
  if (nodes !== undefined && nodes % 4 !== 0) throw reader.wrong("nodes", "a multiple of 4");
  const hash = {
    nodes,
    arguments: reader.text("arguments"),
    loadFactor: reader.number("loadFactor", { min: 1.01, max: 100 }),
  };
  const wrong = hash.arguments?.split(",").find((path) => !/^\s*\d+(\.[A-Za-z_][A-Za-z0-9_]*)*\s*$/.test(path));
  if (wrong !== undefined)
    throw reader.wrong("arguments", `a list such as "0" or "0.user.id", and "${wrong}" isn't in it`);
  reader.end();
  return hash;
}

function parseDirectory(reader: ConfigReader | undefined): ServiceSettings["directory"] {
  if (reader === undefined) return undefined;
  const times = { min: 0, max: 3_600_000 };
  const isUnprotected = reader.raw("emptyProtection") === false;
  const protection = isUnprotected ? undefined : reader.object("emptyProtection");
  const directory = {
    emptyProtection: isUnprotected
      ? (false as const)
      : protection && {
          confirmAfterMs: protection.number("confirmAfterMs", times, 5000),
          expireAfterMs: protection.number("expireAfterMs", times, 60_000),
        },
    mergeMs: reader.number("mergeMs", times),
    cacheAfterMs: reader.number("cacheAfterMs", times),
  };
  protection?.end();
  reader.end();
  return directory;
}

/** A node's connections to registry and config centre, and the client that calls services through them. */
export interface Connections {
  readonly registry: Registry;
  readonly client: Client;
  /** Undefined where the node has none. */
  readonly configCenter: ConfigCenter | undefined;
  /** Closes everything but the registry, whose session ends last. */
  closeClient(): Promise<void>;
}

/**
 * Connects: from here on the node talks to others. `labels`: what it says of itself to rules. Throws a `ConfigError` for infrastructure
 * that this world can't reach.
 */
export async function connect(
  context: NodeContext,
  config: InfrastructureConfig,
  labels: Readonly<Record<string, string>> = {},
): Promise<Connections> {
  const { clock, random, transport, transports, disk, telemetry, calls, policies, tracer } = context;
  const registry = await openRegistry(context, config);
  const configCenter = await openConfigCenter(context, config);
  const client = createClient({
    clock,
    random: random.fork("client"),
    transport,
    transports,
    registry,
    configCenter,
    disk,
    telemetry,
    calls,
    tracer,
    policies,
    application: config.application,
    labels,
    host: hostOf(context),
  });
  return {
    registry,
    client,
    configCenter,
    closeClient: async () => {
      client.close();
      await configCenter?.close();
    },
  };
}

/** Where a node calls from, as far as it knows. */
function hostOf({ listen, advertise }: NodeContext): string | undefined {
  const address = advertise ?? listen;
  const host = address.slice(0, address.lastIndexOf(":"));
  return host === "" || host === "0.0.0.0" || host === "[::]" ? undefined : host;
}

async function openRegistry(context: NodeContext, config: InfrastructureConfig): Promise<Registry> {
  const { clock, transport, telemetry, calls, node, infrastructure } = context;
  const { registry: url, sessionTimeoutMs, application } = config;
  const random = context.random.fork("registry");
  const scheme = schemeOf(url);
  if (scheme === undefined) {
    return createEmbeddedRegistry({
      clock,
      random,
      transport,
      calls,
      telemetry,
      address: url,
      sessionTimeoutMs,
      client: node,
    });
  }
  const open = byScheme(infrastructure.registries, scheme, "registry");
  const interfaceName = Worker.typeName;
  return open({ clock, random, telemetry, url, client: node, application, interfaceName, sessionTimeoutMs });
}

/** The config centre of a node; undefined where its configuration names none. */
export async function openConfigCenter(
  context: NodeContext,
  config: Pick<InfrastructureConfig, "configCenter" | "application">,
): Promise<ConfigCenter | undefined> {
  const { clock, transport, telemetry, calls, node, infrastructure } = context;
  const { configCenter: url, application } = config;
  if (url === undefined) return undefined;
  const random = context.random.fork("config-center");
  const scheme = schemeOf(url);
  if (scheme === undefined)
    return createEmbeddedConfigCenter({ clock, random, transport, calls, telemetry, address: url });
  const open = byScheme(infrastructure.configCenters, scheme, "config centre");
  return open({ clock, random, telemetry, url, client: node, application });
}

/** The entry for a URL's scheme; throws a `ConfigError` that names those that there are. */
export function byScheme<T>(table: Readonly<Record<string, T>>, scheme: string, kind: string): T {
  const found = Object.hasOwn(table, scheme) ? table[scheme] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(table);
  throw new ConfigError(
    `there is no ${kind} for ${scheme}:// here`,
    known.length === 0 ? 'only an embedded one: "host:port"' : `one of: ${known.join(", ")}`,
  );
}
