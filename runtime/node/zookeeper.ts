import type { OpenConfigCenter, OpenRegistry } from "../ports/infrastructure.ts";
import { ZooKeeperConfigCenter } from "./zookeeper/config-center.ts";
import { ZooKeeperRegistry } from "./zookeeper/registry.ts";
import { choice, parseZooKeeperUrl, wrong } from "./zookeeper/url.ts";

/**
 * "zookeeper://10.0.0.1:2181,10.0.0.2:2181/chroot", and after `?`:
 *
 * - `level=all|interface|application` (default all): where instances are registered, and looked for. With `all` a provider is
 *   found by consumers of either kind, and a consumer finds providers of either kind.
 * - `anyGroup=false|true` (default false): a provider of another kind, registered for the interface but in no group, serves every
 *   service. By default such a provider serves the service that its application is named after.
 * - `backup=host:port,…`: more servers, as Dubbo writes them.
 */
export const zookeeperRegistry =
  (dial: Dial = asItIs): OpenRegistry =>
  async (connection) => {
    const { url } = connection;
    const parsed = parseZooKeeperUrl(url, ["level", "anyGroup"]);
    const level = choice(url, parsed, "level", ["all", "interface", "application"]);
    const acceptsAnyGroup = choice(url, parsed, "anyGroup", ["false", "true"]) === "true";
    return new ZooKeeperRegistry({ ...connection, ...parsed, dial, level, acceptsAnyGroup });
  };

/**
 * As `zookeeperRegistry`, with `root` (default /dubbo/config) for the path under which documents lie, and `backup`.
 */
export const zookeeperConfigCenter =
  (dial: Dial = asItIs): OpenConfigCenter =>
  async (connection) => {
    const { url } = connection;
    const parsed = parseZooKeeperUrl(url, ["root"]);
    const root = parsed.parameters.get("root") ?? "/dubbo/config";
    if (!/^(\/[^/\s]+)+$/.test(root)) throw wrong(url, `root=${root} is no path`, "write root=/dubbo/config");
    return new ZooKeeperConfigCenter({ ...connection, ...parsed, dial, root });
  };

/** Where an address is really dialled; asked for each new connection. */
type Dial = (address: string) => string;

const asItIs: Dial = (address) => address;
