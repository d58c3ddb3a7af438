import { createServer } from "../../runtime/call/server.ts";
import type { Handlers } from "../../runtime/call/service.ts";
import { Registry, type ServiceSnapshot } from "../../runtime/discovery/proto/registry_pb.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { keepEpoch, nextEpoch } from "./epoch.ts";
import { checkName } from "./limits.ts";
import { RegistryDisturbances } from "./disturbed.ts";
import { RegistryStore } from "./store.ts";
import { ConfigReader } from "../config.ts";
import type { RunningService, ServiceProgram } from "../service.ts";

export interface RegistryConfig {
  /** Pause between two looks for expired sessions: a session ends between T and T + tick. Default 500. */
  readonly tickMs: number;
  /** Changes within so many milliseconds reach watchers as one. Default 50. */
  readonly mergeMs: number;
}

/**
 * The embedded registry: instances live as long as the session that registered them. It keeps them in memory only; after a
 * restart clients register again. What it does keep, on its disk, is how often it was started: see `epoch.ts`.
 */
export const registry: ServiceProgram<RegistryConfig> = {
  name: "registry",

  parse: (value) => {
    const reader = new ConfigReader(value ?? {});
    const config: RegistryConfig = {
      tickMs: reader.number("tickMs", { min: 10, max: 60_000 }, 500),
      mergeMs: reader.number("mergeMs", { min: 0, max: 10_000 }, 50),
    };
    reader.end();
    return config;
  },

  start: async ({ clock, random, disk, transport, listen, policies }, config) => {
    const epoch = await nextEpoch(disk);
    // A disk that fails here only matters if as many changes come again before the next start.
    const onEpoch = (next: number): void => void keepEpoch(disk, next).catch(() => undefined);
    const store = new RegistryStore({ clock, random, epoch, onEpoch, ...config });
    const disturbances = new RegistryDisturbances({ store, random });
    const listener = await createServer({ transport, filters: [disturbances.filter, ...policies.serverFilters] })
      .add(Registry, handlers(store, { clock, disturbances }))
      .listen(listen)
      .catch((error: unknown) => {
        store.stop();
        throw error;
      });
    const stop = async (): Promise<void> => {
      store.stop();
      await listener.close();
    };
    const disturb: RunningService["disturb"] = (disturbance) => {
      const settle = disturbances.begin(disturbance);
      return settle && Promise.resolve(settle);
    };
    return { address: listener.address, go: () => Promise.resolve(), disturb, drain: stop, stop };
  },
};

function handlers(
  store: RegistryStore,
  { clock, disturbances }: { readonly clock: Clock; readonly disturbances: RegistryDisturbances },
): Handlers<typeof Registry> {
  return {
    openSession: async ({ timeoutMs, client }) => {
      if (client !== "") checkName("client", client);
      const session = store.open(timeoutMs, client);
      return { sessionId: session.id, timeoutMs: session.timeoutUs / 1000 };
    },
    keepAlive: async ({ sessionId }) => {
      store.keepAlive(sessionId);
      return {};
    },
    closeSession: async ({ sessionId }) => {
      store.close(sessionId);
      return {};
    },
    register: async ({ sessionId, instance }) => ({ version: store.register(sessionId, instance) }),
    deregister: async ({ sessionId, service, id }) => ({ version: store.deregister(sessionId, service, id) }),
    lookup: async ({ service, client }) => {
      const catalog = store.catalog(service);
      const { frozen, read } = disturbances.delivery(client, service) ?? {};
      const snapshot = frozen ?? catalog.snapshot(catalog.version);
      return read === undefined ? snapshot : read(snapshot);
    },
    async *watch({ sessionId, service, sinceVersion }, call): AsyncGenerator<ServiceSnapshot> {
      const watch = store.watch(sessionId, service);
      const leave = call.onCancel(() => watch.close());
      try {
        const { catalog, bell, client } = watch;
        let told = sinceVersion;
        // Version 0 is news to who knows nothing.
        let isFirst = told === 0;
        do {
          const how = disturbances.delivery(client, service);
          const { version } = how?.frozen ?? catalog;
          const isNews = isFirst || (version > told && how?.isHeld !== true);
          const snapshot = isNews ? (how?.frozen ?? catalog.snapshot(told)) : catalog.heartbeat(told);
          const message = isNews && how?.push !== undefined ? how.push(snapshot) : snapshot;
          if (isNews) told = version;
          isFirst = false;
          if (isNews && how?.delayUs !== undefined) await clock.sleep(how.delayUs, call.signal);
          watch.spokeUs = clock.nowUs();
          const times = isNews ? (how?.times ?? 1) : 1;
          for (let time = 0; time < times; time++) yield message;
          // Whatever changed before the reader asked for more is in what it gets next.
        } while (await bell.rung());
      } finally {
        leave();
        watch.close();
      }
    },
  };
}
