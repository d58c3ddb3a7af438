import { createBackoff } from "../../call/backoff.ts";
import { pause } from "../../call/pause.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { Instance } from "../../ports/registry.ts";
import type { NacosConfigCenter } from "./config-center.ts";
import { applicationMetadata, revisionOf } from "./format.ts";

/** Dubbo's configuration group for which applications offer an interface. */
const mappingGroup = "mapping";

/**
 * Makes an application known to those who look for its interface: what it offers under (application, revision), and its name in
 * the list of (interface, "mapping"). Goes on trying until it is done or the config centre is closed; a provider serves without.
 */
export async function announce(
  config: NacosConfigCenter,
  instance: Instance,
  { clock, random, interfaceName }: { readonly clock: Clock; readonly random: Random; readonly interfaceName: string },
): Promise<void> {
  const backoff = createBackoff(random.fork(`announce ${instance.service}`), 200_000, 10_000_000);
  for (;;) {
    try {
      await publishMetadata(config, instance, interfaceName);
      if (await isListed(config, instance.service, interfaceName)) return;
    } catch (error) {
      const { code } = toRpcError(error);
      if (code === "CANCELLED" || code === "INVALID_ARGUMENT" || code === "PERMISSION_DENIED") return;
    }
    await pause(clock, backoff.nextUs(), config.life);
  }
}

async function publishMetadata(config: NacosConfigCenter, instance: Instance, interfaceName: string): Promise<void> {
  const key = { key: instance.service, group: revisionOf(instance, interfaceName) };
  const content = applicationMetadata(instance, interfaceName);
  if ((await config.get(key)).content !== content) await config.publish(key, content);
}

/** Whether the application is in the list; if not, tries to add it, and finds out the next time whether that held. */
async function isListed(config: NacosConfigCenter, service: string, interfaceName: string): Promise<boolean> {
  const key = { key: interfaceName, group: mappingGroup };
  const { content, version } = await config.get(key);
  const applications = content === "" ? [] : content.split(",");
  if (applications.includes(service)) return true;
  const longer = [...applications, service].join(",");
  try {
    await config.publish(key, longer, { ifVersion: version });
    return true;
  } catch (error) {
    // Where conditions can't be had, others may overwrite it: the next look tells.
    if (!(error instanceof RpcError) || error.code !== "UNIMPLEMENTED") throw error;
    await config.publish(key, longer);
    return false;
  }
}
