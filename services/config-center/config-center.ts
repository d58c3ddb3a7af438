import { create } from "@bufbuild/protobuf";

import { createServer } from "../../runtime/call/server.ts";
import type { Handlers } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { ConfigCenter, DocumentSchema, type Document } from "../../runtime/configuration/proto/config_pb.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { DiskError } from "../../runtime/ports/disk.ts";
import { ConfigReader } from "../config.ts";
import type { RunningService, ServiceProgram } from "../service.ts";
import { DocumentLog } from "./log.ts";
import { DocumentStore } from "./store.ts";

/** Nothing to choose. */
export type ConfigCenterConfig = Readonly<Record<never, never>>;

/** The embedded config centre: versioned text documents that survive its own crashes. */
export const configCenter: ServiceProgram<ConfigCenterConfig> = {
  name: "config-center",

  parse: (value) => {
    new ConfigReader(value ?? {}).end();
    return {};
  },

  start: async ({ clock, disk, transport, listen, policies }) => {
    const store = new DocumentStore({ clock, ...(await DocumentLog.open(disk)) });
    const listener = await createServer({ transport, filters: policies.serverFilters })
      .add(ConfigCenter, handlers(store, clock))
      .listen(listen)
      .catch(async (error: unknown) => {
        await store.stop();
        throw error;
      });
    const stop = async (): Promise<void> => {
      await store.stop();
      await listener.close();
    };
    const disturb: RunningService["disturb"] = (disturbance) => {
      if (disturbance.kind !== "late-document") return undefined;
      store.retell(disturbance);
      // It was one message, and can't be taken back.
      return Promise.resolve(() => undefined);
    };
    return { address: listener.address, go: () => Promise.resolve(), disturb, drain: stop, stop };
  },
};

function handlers(store: DocumentStore, clock: Clock): Handlers<typeof ConfigCenter> {
  return {
    get: async ({ key, group }) => store.get({ key, group }),
    publish: async ({ key, group, content, ifVersion }) => ({
      version: await written(store.publish({ key, group }, content, ifVersion)),
    }),
    delete: async ({ key, group }) => ({ version: await written(store.remove({ key, group })) }),
    async *watch({ key, group, sinceVersion }, call): AsyncGenerator<Document> {
      const watch = store.watch({ key, group });
      const leave = call.onCancel(() => watch.close());
      try {
        let told = sinceVersion;
        // Version 0 is news to who knows nothing.
        let isNews = told === 0 || watch.latest().version > told;
        let isOpen = true;
        do {
          const document = watch.latest();
          if (isNews) told = document.version;
          watch.spokeUs = clock.nowUs();
          yield isNews ? document : create(DocumentSchema, { key, group, version: told, exists: document.exists });
          const { late } = watch;
          watch.late = undefined;
          if (late !== undefined) yield late;
          isOpen = await watch.bell.rung();
          isNews = watch.latest().version > told;
        } while (isOpen);
      } finally {
        leave();
        watch.close();
      }
    },
  };
}

/** What the disk refuses is refused to the caller; as after any failed write, the document may be old or new after a restart. */
async function written(version: Promise<number>): Promise<number> {
  try {
    return await version;
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const code = error.code === "FULL" ? "RESOURCE_EXHAUSTED" : "UNAVAILABLE";
    throw new RpcError(`the config centre can't write: ${error.message}`, { code, cause: error });
  }
}
