import { createClient, type Client, type ServiceSettings } from "../runtime/call/client.ts";
import { rpcCodes, type RpcCode } from "../runtime/call/status.ts";
import { createEmbeddedConfigCenter } from "../runtime/configuration/embedded.ts";
import { createEmbeddedRegistry } from "../runtime/discovery/embedded.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import type { ConfigReader } from "./config.ts";
import type { NodeContext } from "./service.ts";

/** Where a node finds the infrastructure, and who it is there. */
export interface InfrastructureConfig {
  /** The registry's "host:port". */
  readonly registry: string;
  /** The config centre's "host:port". Default: none, and no rules. */
  readonly configCenter: string | undefined;
  /** Default 6000. */
  readonly sessionTimeoutMs: number | undefined;
  /** The application's name, by which application-level rules are found. */
  readonly application: string;
}

export function parseInfrastructure(reader: ConfigReader, application?: string): InfrastructureConfig {
  return {
    registry: reader.requiredAddress("registry"),
    configCenter: reader.address("configCenter"),
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
  const count = { min: 0, max: 100, isInteger: true };
  const retryOn = reader.texts("retryOn");
  const unknown = retryOn?.find((code) => !rpcCodes.includes(code as RpcCode));
  if (unknown !== undefined) throw reader.wrong("retryOn", `a list of status codes, and "${unknown}" isn't one`);
  const config: CallsConfig = {
    service: reader.requiredText("service"),
    timeoutMs: reader.number("timeoutMs", { min: 0.001 }),
    attemptTimeoutMs: reader.number("attemptTimeoutMs", { min: 0.001 }),
    retries: reader.number("retries", count),
    retryOn: retryOn as readonly RpcCode[] | undefined,
    cluster: reader.text("cluster"),
    balancer: reader.text("balancer"),
    directory: parseDirectory(reader.object("directory")),
  };
  reader.end();
  return config;
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
  /** Closes everything but the registry, whose session ends last. */
  closeClient(): Promise<void>;
}

/** Connects: from here on the node talks to others. */
export function connect(context: NodeContext, config: InfrastructureConfig): Connections {
  const { clock, random, transport, disk, telemetry, calls, policies, node } = context;
  const registry = createEmbeddedRegistry({
    clock,
    random: random.fork("registry"),
    transport,
    calls,
    telemetry,
    address: config.registry,
    sessionTimeoutMs: config.sessionTimeoutMs,
    client: node,
  });
  const configCenter =
    config.configCenter === undefined
      ? undefined
      : createEmbeddedConfigCenter({
          clock,
          random: random.fork("config-center"),
          transport,
          calls,
          address: config.configCenter,
        });
  const client = createClient({
    clock,
    random: random.fork("client"),
    transport,
    registry,
    configCenter,
    disk,
    telemetry,
    calls,
    policies,
    application: config.application,
  });
  return {
    registry,
    client,
    closeClient: async () => {
      client.close();
      await configCenter?.close();
    },
  };
}
