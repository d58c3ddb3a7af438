import type { ConfigCenter } from "../../../runtime/ports/config-center.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import type { ConfigCenterConnection, InfrastructureTable } from "../../../runtime/ports/infrastructure.ts";
import type { Registry } from "../../../runtime/ports/registry.ts";
import { silent } from "../../../runtime/ports/telemetry.ts";
import { createRandom } from "../../../runtime/random.ts";
import { Worker } from "../../../services/proto/worker_pb.ts";
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
  /** Time after a change in which other readers may still be told the old list. */
  readonly settlesWithinMs: number;
}

export const registries: Readonly<Record<Exclude<RegistryName, "embedded">, RegistryKind>> = {
  zookeeper: {
    server: zookeeper,
    ports: [2181],
    url: (address, run) => `zookeeper://${address}${part("/", run)}`,
    // dubbo-go has no chroot.
    isShareable: false,
    settlesWithinMs: 0,
  },
  nacos: {
    server: nacos,
    ports: [8848, 9848],
    url: (address, run) => `nacos://${address}${part("?namespace=", run)}`,
    isShareable: true,
    // It answers with what it pushed last, for each of an instance's two names by itself, and a push waits 500 ms for more changes.
    settlesWithinMs: 1_000,
  },
  consul: {
    server: consul,
    ports: [8500],
    url: (address, run) => `consul://${address}${part("?prefix=", run)}`,
    isShareable: true,
    settlesWithinMs: 0,
  },
};

const part = (key: string, run: string | undefined): string => (run === undefined ? "" : `${key}${run}`);

/** Time that a document has to reach a server that doesn't answer at first. */
const publishWithinMs = 30_000;

/** One run's part of a real server, and how to get there from this machine. */
export interface ServerPart {
  readonly clock: Clock;
  readonly server: RunningServer;
  readonly run: string | undefined;
}

/** Puts documents into a real config centre from outside of every fault: it is dialled where this machine reaches it at that moment. */
export function createRealPublisher(
  kind: RegistryKind,
  options: ServerPart,
): {
  readonly publish: (key: string, content: string | undefined, signal: AbortSignal) => Promise<void>;
  readonly close: () => Promise<void>;
} {
  const { clock } = options;
  let opened: Promise<ConfigCenter> | undefined;
  const open = (): Promise<ConfigCenter> => {
    const { table, scheme, connection } = fromOutside(kind, options);
    return table.configCenters[scheme]!(connection);
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

/** Time between two looks at a registry that doesn't show everybody yet. */
const lookAgainAfterUs = 100_000;

/**
 * Resolves once a real registry, asked from outside of every fault, shows as many instances of each service as `expected` says, and has
 * done so for long enough that it shows them to anybody, under any name; false when that takes longer than `withinUs`. Rejects when
 * `signal` aborts.
 */
export async function untilShown(
  kind: RegistryKind,
  expected: ReadonlyMap<string, number>,
  options: ServerPart & { readonly withinUs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const { clock, withinUs, signal } = options;
  const { table, scheme, connection } = fromOutside(kind, options);
  const untilUs = clock.nowUs() + withinUs;
  const registry = await table.registries[scheme]!({ ...connection, interfaceName: Worker.typeName });
  try {
    let sinceUs: number | undefined;
    for (;;) {
      const isShown = await shows(registry, expected);
      const nowUs = clock.nowUs();
      sinceUs = isShown ? (sinceUs ?? nowUs) : undefined;
      if (sinceUs !== undefined && nowUs - sinceUs >= kind.settlesWithinMs * 1000) return true;
      if (nowUs >= untilUs) return false;
      await clock.sleep(lookAgainAfterUs, signal);
    }
  } finally {
    await registry.close();
  }
}

/** Whoever doesn't answer shows nobody. */
async function shows(registry: Registry, expected: ReadonlyMap<string, number>): Promise<boolean> {
  const shown = [...expected].map(async ([service, count]) => {
    const snapshot = await registry.lookup(service).catch(() => undefined);
    return snapshot !== undefined && snapshot.instances.length >= count;
  });
  return (await Promise.all(shown)).every(Boolean);
}

/** A server's clients on this machine, each connection dialled where the server is reached at that moment. */
function fromOutside(
  kind: RegistryKind,
  { clock, server, run }: ServerPart,
): { readonly table: InfrastructureTable; readonly scheme: string; readonly connection: ConfigCenterConnection } {
  const url = kind.url(`${server.container.spec.ip}:${kind.ports[0]!}`, run);
  const dial = (address: string): string => server.addressOf(Number(address.slice(address.lastIndexOf(":") + 1)));
  return {
    table: realInfrastructure({ dial }),
    scheme: url.slice(0, url.indexOf(":")),
    connection: { clock, random: createRandom(1), telemetry: silent, url, client: "flyball", application: "flyball" },
  };
}

const late = (key: string): WorldError =>
  new WorldError(`${key} couldn't be published within ${publishWithinMs / 1000} s`, { code: "UNAVAILABLE" });
