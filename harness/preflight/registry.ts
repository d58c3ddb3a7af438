import { RpcError } from "../../runtime/call/status.ts";
import { systemClock } from "../../runtime/node/clock.ts";
import { realInfrastructure } from "../../runtime/node/infrastructure.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import { createRandom } from "../../runtime/random.ts";
import type { RuleDocument } from "./documents.ts";
import { PreflightError } from "./error.ts";
import { flyballInterface, serviceOf, type Fleet, type FleetService } from "./fleet.ts";

/** Time that a registry has to answer. */
const withinMs = 10_000;

/**
 * The instances that a registry knows of the services that these rules are about, and of those that were named. Registries are asked
 * by interface, so a service is the `group` of one: that of the rule's key ("some.Interface:1.0:orders"), else Flyball's own. Rejects
 * with a `PreflightError` UNREACHABLE when it doesn't answer in 10 s.
 */
export async function fleetFromRegistry(
  url: string,
  documents: readonly RuleDocument[],
  named: readonly string[],
): Promise<Fleet> {
  const scheme = url.slice(0, url.indexOf(":"));
  const open = realInfrastructure().registries[scheme];
  if (open === undefined) {
    throw new PreflightError(`there is no registry for ${scheme}://`, {
      code: "INVALID_INSTANCES",
      hint: "zookeeper://HOST:2181, nacos://HOST:8848, consul://HOST:8500, or a file",
    });
  }
  const clock = systemClock();
  const random = createRandom(1);
  const services: FleetService[] = [];
  for (const [interfaceName, wanted] of interfacesOf(documents, named)) {
    const registry = await opened(url, () =>
      open({ clock, random, telemetry: silent, url, client: "preflight", application: "preflight", interfaceName }),
    );
    try {
      for (const { name, version } of wanted) {
        const { instances } = await answered(url, registry.lookup(name));
        if (instances.length > 0 || named.includes(name)) {
          services.push(serviceOf({ name, interfaceName, version, group: name }, instances));
        }
      }
    } finally {
      await registry.close();
    }
  }
  return { services, callers: undefined };
}

interface Wanted {
  readonly name: string;
  readonly version: string;
}

function interfacesOf(documents: readonly RuleDocument[], named: readonly string[]): Map<string, Wanted[]> {
  const interfaces = new Map<string, Wanted[]>();
  const want = (interfaceName: string, name: string, version: string): void => {
    const wanted = interfaces.get(interfaceName) ?? [];
    interfaces.set(interfaceName, wanted);
    if (name !== "" && !wanted.some((one) => one.name === name)) wanted.push({ name, version });
  };
  for (const { scope } of documents) {
    const [interfaceName, version, group] = scope.split(":");
    if (group !== undefined) want(interfaceName!, group, version!);
    else want(flyballInterface, scope, "");
  }
  for (const name of named) want(flyballInterface, name, "");
  return interfaces;
}

async function opened<T>(url: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (cause) {
    if (!(cause instanceof RpcError) || cause.code !== "INVALID_ARGUMENT") throw cause;
    throw new PreflightError(`${url}: ${cause.message}`, { code: "INVALID_INSTANCES", hint: cause.hint, cause });
  }
}

async function answered<T>(url: string, lookup: Promise<T>): Promise<T> {
  let disarm = (): void => undefined;
  const patience = new Promise<never>((_resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${withinMs / 1000} s`)), withinMs);
    disarm = () => clearTimeout(timer);
  });
  try {
    return await Promise.race([lookup, patience]);
  } catch (cause) {
    throw new PreflightError(`${url} can't be asked: ${cause instanceof Error ? cause.message : String(cause)}`, {
      code: "UNREACHABLE",
      hint: "is it running, and reachable from here?",
      cause,
    });
  } finally {
    disarm();
  }
}
