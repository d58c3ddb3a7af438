import type { OpenConfigCenter, OpenRegistry } from "../ports/infrastructure.ts";
import { parseInfrastructureUrl } from "./infrastructure-url.ts";
import { NacosConfigCenter } from "./nacos/config-center.ts";
import type { Level } from "./nacos/format.ts";
import { GrpcNaming } from "./nacos/grpc-naming.ts";
import { HttpNaming } from "./nacos/http-naming.ts";
import { NacosRegistry } from "./nacos/registry.ts";

const namespace = { default: "public", pattern: /^[A-Za-z0-9_-]{1,128}$/ };

/**
 * Nacos as a registry: "nacos://127.0.0.1:8848?protocol=grpc".
 *
 * - `namespace` (default "public") and `group` (default "DEFAULT_GROUP") keep fleets apart; a namespace needs no creating.
 * - `protocol`: "http" (the default; Nacos 1.x and 2.x) keeps instances alive by heartbeats, "grpc" (2.x and 3.x, on the port 1000
 *   higher) by the connection. They fail differently: see docs/registries.md.
 * - `level`: "interface", "application" or "all" (the default): under which of Dubbo's names to register and to look.
 * - `pollMs`: time between two looks at a watched service; default: what the server says, which is 10,000.
 * - `push` (http only): whether the server shall send changes by UDP to the address from which this client calls. "auto", the
 *   default, wants it where this client calls the server itself: datagrams would bypass whatever stands in between.
 *
 * Our own client rather than npm's `nacos` 2.6: that one never tells that a list became empty, spins while the server is away,
 * sends its first heartbeat late, and can't reach Nacos 3.
 */
export function nacosRegistry(dial: (address: string) => string = (address) => address): OpenRegistry {
  return async (connection) => {
    const { address, values } = parseInfrastructureUrl(connection.url, {
      name: "Nacos",
      example: "nacos://127.0.0.1:8848?namespace=public&protocol=http",
      defaultPort: 8848,
      parameters: {
        namespace,
        group: { default: "DEFAULT_GROUP", pattern: /^[A-Za-z0-9._-]{1,128}$/ },
        protocol: { default: "http", values: ["http", "grpc"] },
        level: { default: "all", values: ["all", "interface", "application"] },
        pollMs: { default: "", pattern: /^[1-9]\d{1,6}$/ },
        push: { default: "auto", values: ["auto", "true", "false"] },
      },
    });
    const common = { ...connection, address, dial, namespace: values.namespace, group: values.group };
    const pollMs = values.pollMs === "" ? undefined : Number(values.pollMs);
    const naming =
      values.protocol === "grpc"
        ? new GrpcNaming({ ...common, pollMs })
        : new HttpNaming({
            ...common,
            pollMs,
            isPushWanted: values.push === "auto" ? dial(address) === address : values.push === "true",
          });
    const openConfig = (): NacosConfigCenter =>
      new NacosConfigCenter({ ...common, random: connection.random.fork("config") });
    return new NacosRegistry({ ...common, naming, openConfig, level: values.level as Level });
  };
}

/**
 * Nacos as a config centre: "nacos://127.0.0.1:8848?namespace=public". Over HTTP (Nacos 1.x and 2.x); conditional publishes, which
 * HTTP doesn't know, go over gRPC, on the port 1000 higher.
 */
export function nacosConfigCenter(dial: (address: string) => string = (address) => address): OpenConfigCenter {
  return async (connection) => {
    const { address, values } = parseInfrastructureUrl(connection.url, {
      name: "Nacos",
      example: "nacos://127.0.0.1:8848?namespace=public",
      defaultPort: 8848,
      parameters: { namespace },
    });
    return new NacosConfigCenter({ ...connection, address, dial, namespace: values.namespace });
  };
}
