import { directStub } from "../call/direct.ts";
import { lastingStream } from "../call/lasting-stream.ts";
import type { Stub } from "../call/service.ts";
import type { Clock } from "../ports/clock.ts";
import type { ConfigCenter, ConfigDocument, ConfigKey } from "../ports/config-center.ts";
import type { Random } from "../ports/random.ts";
import type { Subscription } from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { Transport } from "../ports/transport.ts";
import type { CallLog } from "../telemetry/call-log.ts";
import { ConfigCenter as ConfigCenterService, type Document } from "./proto/config_pb.ts";

export interface EmbeddedConfigCenterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly calls: CallLog;
  /** The config centre's "host:port". */
  readonly address: string;
  /** Hears what is told of documents, believed or not. Default: nobody does. */
  readonly telemetry?: Telemetry | undefined;
}

/** The config centre promises a heartbeat every 2 s. */
const silenceUs = 6_000_000;

/**
 * The client of the embedded config centre. It needs no session: documents outlive who published them. Watches are opened again
 * with backoff, and also when they are silent for 6 s. After `close` they deliver nothing more.
 */
export function createEmbeddedConfigCenter(options: EmbeddedConfigCenterOptions): ConfigCenter {
  return new EmbeddedConfigCenter(options);
}

class EmbeddedConfigCenter implements ConfigCenter {
  readonly #options: EmbeddedConfigCenterOptions;
  readonly #stub: Stub<typeof ConfigCenterService>;
  readonly #watches = new Set<Subscription>();
  #isClosed = false;

  constructor(options: EmbeddedConfigCenterOptions) {
    const { clock, transport, calls, address } = options;
    this.#options = options;
    this.#stub = directStub(ConfigCenterService, { clock, transport, calls, service: "config-center", address });
  }

  async get({ key, group }: ConfigKey): Promise<ConfigDocument> {
    return this.#stub.get({ key, group });
  }

  async publish(
    { key, group }: ConfigKey,
    content: string,
    options: { readonly ifVersion?: number } = {},
  ): Promise<number> {
    const condition = options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion };
    const { version } = await this.#stub.publish({ key, group, content, ...condition });
    return version;
  }

  async remove({ key, group }: ConfigKey): Promise<number> {
    const { version } = await this.#stub.delete({ key, group });
    return version;
  }

  watch({ key, group }: ConfigKey, listener: (document: ConfigDocument) => void): Subscription {
    const { clock, random, telemetry } = this.#options;
    let version = -1;
    let told = -1;
    const stream = lastingStream<Document>({
      clock,
      random: random.fork(`watch ${group} ${key}`),
      service: "config-center",
      silenceUs: () => silenceUs,
      open: (parent) => this.#stub.watch({ key, group, sinceVersion: Math.max(0, version) }, { parent }),
      onMessage: (document) => {
        if (document.version !== told) {
          told = document.version;
          telemetry?.emit({ type: "document", atUs: clock.nowUs(), key, version: told });
        }
        // What isn't newer is a heartbeat, or has been on its way for too long.
        if (document.version <= version) return;
        version = document.version;
        listener(document);
      },
    });
    const subscription = {
      close: () => {
        stream.close();
        this.#watches.delete(subscription);
      },
    };
    if (this.#isClosed) stream.close();
    else this.#watches.add(subscription);
    return subscription;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const watch of [...this.#watches]) watch.close();
    return Promise.resolve();
  }
}
