import type { Clock } from "./clock.ts";
import type { ConfigCenter } from "./config-center.ts";
import type { Coordinator } from "./coordinator.ts";
import type { DataSource, Table } from "./data-source.ts";
import type { Random } from "./random.ts";
import type { Registry } from "./registry.ts";
import type { Telemetry } from "./telemetry.ts";

/** What a client of a registry that isn't our own is given. */
export interface RegistryConnection {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /**
   * Where it is, and how to use it: "zookeeper://127.0.0.1:2181/chroot?level=all", "nacos://127.0.0.1:8848?namespace=public",
   * "consul://127.0.0.1:8500". What comes after `?` differs from registry to registry; a parameter that isn't known is refused.
   */
  readonly url: string;
  /** Who asks, for people: "orders/0". */
  readonly client: string;
  /** The application's name: Dubbo's application-level registration is found by it. */
  readonly application: string;
  /**
   * The interface that services are registered under: "flyball.worker.v1.Worker". A service of ours is a Dubbo `group` of it, so
   * that "orders" and "payments" are told apart by those who look for an interface.
   */
  readonly interfaceName: string;
  /** Silence after which the registry takes an instance out, where it lets clients choose. Default: the registry's own. */
  readonly sessionTimeoutMs?: number | undefined;
}

/** What a client of a config centre that isn't our own is given. */
export type ConfigCenterConnection = Omit<RegistryConnection, "interfaceName" | "sessionTimeoutMs">;

/**
 * Answers at once, connected or not: a registry that is away is tried without end, as the `Registry` port promises. Rejects with
 * an `RpcError` INVALID_ARGUMENT for a URL that can't work.
 */
export type OpenRegistry = (connection: RegistryConnection) => Promise<Registry>;

/** As `OpenRegistry`. */
export type OpenConfigCenter = (connection: ConfigCenterConnection) => Promise<ConfigCenter>;

/** As `OpenRegistry`; what rejects by name is a `TransactionError`. */
export type OpenCoordinator = (connection: ConfigCenterConnection) => Promise<Coordinator>;

/** Connects, and makes the tables that aren't there. Rejects with a `DataSourceError`. */
export type OpenDataSource = (connection: {
  /** "postgres://user:password@127.0.0.1:5432/bank" */
  readonly url: string;
  /** Who connects, for people. */
  readonly client: string;
  readonly tables: readonly Table[];
}) => Promise<DataSource>;

/** What isn't our own, by the scheme of its URL: registries and config centres "zookeeper", coordinators "seata", databases "postgres". */
export interface InfrastructureTable {
  readonly registries: Readonly<Record<string, OpenRegistry>>;
  readonly configCenters: Readonly<Record<string, OpenConfigCenter>>;
  readonly coordinators: Readonly<Record<string, OpenCoordinator>>;
  readonly dataSources: Readonly<Record<string, OpenDataSource>>;
}

/** For worlds without any: only the embedded ones can be reached. */
export const embeddedOnly: InfrastructureTable = {
  registries: {},
  configCenters: {},
  coordinators: {},
  dataSources: {},
};
