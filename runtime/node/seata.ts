import type { OpenCoordinator } from "../ports/infrastructure.ts";
import { parseInfrastructureUrl } from "./infrastructure-url.ts";
import { SeataClient } from "./seata/client.ts";

/**
 * A Seata server as the coordinator: "seata://127.0.0.1:8091?group=default_tx_group", of which `group` is the transaction service group
 * that it counts by.
 */
export function seataCoordinator(dial: (address: string) => string = (address) => address): OpenCoordinator {
  return async ({ clock, random, url, application }) => {
    const { address, values } = parseInfrastructureUrl(url, {
      name: "Seata",
      example: "seata://127.0.0.1:8091",
      defaultPort: 8091,
      parameters: { group: { default: "default_tx_group", pattern: /^[\w.-]{1,100}$/ } },
    });
    return new SeataClient({ clock, random, address, dial, application, group: values.group });
  };
}
