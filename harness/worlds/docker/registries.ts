import type { ConfigCenter } from "../../../runtime/ports/config-center.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { createRandom } from "../../../runtime/random.ts";
import { WorldError } from "../error.ts";
import type { RegistryName } from "../../scenario/plan.ts";
import { consul, nacos, zookeeper, type RunningServer, type ServerKind } from "./servers.ts";

/** How a fleet uses a registry that isn't ours, which is its config centre as well. */
export interface RegistryKind {
  readonly server: ServerKind;
  /** The ports that clients connect to. */
  readonly ports: readonly number[];
  /** Its URL for one run, at "host:port" of its first port; `run` keeps runs that share a server apart, undefined is for its only one. */
  readonly url: (address: string, run: string | undefined) => string;
  /** Whether programs that aren't ours know how to keep to a part of it. Else a run with such programs has one of its own. */
  readonly isShareable: boolean;
}

export const registries: Readonly<Record<Exclude<RegistryName, "embedded">, RegistryKind>> = {
  zookeeper: {
    server: zookeeper,
    ports: [2181],
    url: (address, run) => `zookeeper://${address}${part("/", run)}`,
    // dubbo-go has no chroot.
    isShareable: false,
  },
  nacos: {
    server: nacos,
    ports: [8848, 9848],
    url: (address, run) => `nacos://${address}${part("?namespace=", run)}`,
    isShareable: true,
  },
  consul: {
    server: consul,
    ports: [8500],
    url: (address, run) => `consul://${address}${part("?prefix=", run)}`,
    isShareable: true,
  },
};

const part = (key: string, run: string | undefined): string => (run === undefined ? "" : `${key}${run}`);

/** Time that a document has to reach a server that doesn't answer at first. */
const publishWithinMs = 30_000;

/** Puts documents into a real config centre from outside of every fault: it is dialled where this machine reaches it at that moment. */
export function createRealPublisher(
  kind: RegistryKind,
  options: { readonly clock: Clock; readonly server: RunningServer; readonly run: string | undefined },
): {
  readonly publish: (key: string, content: string | undefined, signal: AbortSignal) => Promise<void>;
  readonly close: () => Promise<void>;
} {
  const { clock, server, run } = options;
  let opened: Promise<ConfigCenter> | undefined;
  const open = (): Promise<ConfigCenter> => {
    const url = kind.url(`${server.container.spec.ip}:${kind.ports[0]!}`, run);
    const scheme = url.slice(0, url.indexOf(":"));
    const dial = (address: string): string => server.addressOf(Number(address.slice(address.lastIndexOf(":") + 1)));
    return realInfrastructure({ dial }).configCenters[scheme]!({
      clock,
      random: createRandom(1),
      telemetry: silent,
      url,
      client: "flyball",
      application: "flyball",
    });
  };
  return {
    publish: async (key, content, signal) => {
      const document = { key, group: "dubbo" };
      const act = async (): Promise<void> => {
        opened ??= open();
        // What couldn't be opened is opened anew the next time.
        opened.catch(() => (opened = undefined));
        const center = await opened;
        await (content === undefined ? center.remove(document) : center.publish(document, content));
      };
      const waiting = new AbortController();
      const patience = clock.sleep(publishWithinMs * 1000, AbortSignal.any([signal, waiting.signal]));
      try {
        await Promise.race([act(), patience.then(() => Promise.reject(late(key)))]);
      } finally {
        waiting.abort();
      }
    },
    close: async () => {
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

const late = (key: string): WorldError =>
  new WorldError(`${key} couldn't be published within ${publishWithinMs / 1000} s`, { code: "UNAVAILABLE" });
