import type { InfrastructureTable } from "../ports/infrastructure.ts";

export interface InfrastructureOptions {
  /** Where an address is really dialled; asked for each new connection. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
}

/** The real registries and config centres, by scheme. Each one's client is loaded when the first URL names it. */
export function realInfrastructure(options: InfrastructureOptions = {}): InfrastructureTable {
  return {
    registries: {
      nacos: async (connection) => (await import("./nacos.ts")).nacosRegistry(options)(connection),
      consul: async (connection) => (await import("./consul.ts")).consulRegistry(options)(connection),
    },
    configCenters: {
      nacos: async (connection) => (await import("./nacos.ts")).nacosConfigCenter(options)(connection),
      consul: async (connection) => (await import("./consul.ts")).consulConfigCenter(options)(connection),
    },
  };
}
