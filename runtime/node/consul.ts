import type { OpenConfigCenter, OpenRegistry } from "../ports/infrastructure.ts";
import { ConsulConfigCenter } from "./consul/config-center.ts";
import { ConsulRegistry } from "./consul/registry.ts";
import { parseInfrastructureUrl } from "./infrastructure-url.ts";

/**
 * Consul's agent as a registry: "consul://127.0.0.1:8500?prefix=run1-". `prefix` stands in front of every service's name and every
 * key, so that several fleets can share an agent; default none.
 *
 * Our own client of a few HTTP calls rather than npm's `consul` 2.0.1, whose watch was read and left: it asks again without a pause
 * however fast answers come, and waits up to 30 s, the same for everybody, after failures: consumers would be deaf for half a
 * minute after an outage, and come back in one wave.
 */
export function consulRegistry(dial: (address: string) => string = (address) => address): OpenRegistry {
  return async (connection) => new ConsulRegistry({ ...connection, ...parse(connection.url), dial });
}

/** Consul's key/value store as a config centre, of the same URL: see `consulRegistry`. */
export function consulConfigCenter(dial: (address: string) => string = (address) => address): OpenConfigCenter {
  return async (connection) => new ConsulConfigCenter({ ...connection, ...parse(connection.url), dial });
}

function parse(url: string): { readonly address: string; readonly prefix: string } {
  const { address, values } = parseInfrastructureUrl(url, {
    name: "Consul",
    example: "consul://127.0.0.1:8500?prefix=run1-",
    defaultPort: 8500,
    parameters: { prefix: { default: "", pattern: /^[A-Za-z0-9._-]{0,100}$/ } },
  });
  return { address, prefix: values.prefix };
}
