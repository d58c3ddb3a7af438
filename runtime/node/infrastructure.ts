import type { InfrastructureTable } from "../ports/infrastructure.ts";

export interface InfrastructureOptions {
  /** Where an address is really dialled; asked for each new connection. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
}

/** The real registries, config centres, coordinators and databases, by scheme. Each one's client is loaded when the first URL names it. */
export function realInfrastructure({ dial }: InfrastructureOptions = {}): InfrastructureTable {
  return {
    registries: {
      zookeeper: async (connection) => (await import("./zookeeper.ts")).zookeeperRegistry(dial)(connection),
      nacos: async (connection) => (await import("./nacos.ts")).nacosRegistry(dial)(connection),
      consul: async (connection) => (await import("./consul.ts")).consulRegistry(dial)(connection),
    },
    configCenters: {
      zookeeper: async (connection) => (await import("./zookeeper.ts")).zookeeperConfigCenter(dial)(connection),
      nacos: async (connection) => (await import("./nacos.ts")).nacosConfigCenter(dial)(connection),
      consul: async (connection) => (await import("./consul.ts")).consulConfigCenter(dial)(connection),
    },
    coordinators: {
      seata: async (connection) => (await import("./seata.ts")).seataCoordinator(dial)(connection),
    },
    dataSources: {
      postgres: async (connection) => (await import("./postgres.ts")).postgresDataSource(dial)(connection),
    },
  };
}
