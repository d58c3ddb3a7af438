import type { ConfigCenter } from "../../runtime/ports/config-center.ts";
import { ConfigReader } from "../config.ts";
import { openConfigCenter } from "../connections.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";

export interface RulesConfig {
  /** Where they are published: the embedded config centre's "host:port", or another's URL. */
  readonly configCenter: string;
  /** Published one after the other, in group "dubbo". */
  readonly documents: readonly { readonly key: string; readonly content: string }[];
  /** Pause between two of them; after the last comes the first again. Default: all at once, and only once. */
  readonly everyMs: number | undefined;
}

/** Puts rule documents into the config centre, as an operator would: for demos in which nobody else does. */
export const rules: ServiceProgram<RulesConfig> = {
  name: "rules",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const documents = reader.raw("documents");
    if (!Array.isArray(documents) || documents.length === 0) {
      throw reader.wrong("documents", 'a list of documents: [{ "key": "orders.canary-router", "content": "…" }]');
    }
    const config: RulesConfig = {
      documents: documents.map((document, index) => {
        const own = new ConfigReader(document, `documents.${index}`);
        const parsed = { key: own.requiredText("key"), content: own.requiredText("content") };
        own.end();
        return parsed;
      }),
      everyMs: reader.number("everyMs", { min: 100, max: 86_400_000 }),
      configCenter: reader.requiredInfrastructure("configCenter"),
    };
    reader.end();
    return config;
  },

  start: (context, config) => Promise.resolve(new RunningRules(context, config)),
};

class RunningRules implements RunningService {
  /** Nobody calls it. */
  readonly address = undefined;
  readonly #context: NodeContext;
  readonly #config: RulesConfig;
  #center: ConfigCenter | undefined;
  #cancel: () => void = () => undefined;
  #isLeaving = false;

  constructor(context: NodeContext, config: RulesConfig) {
    this.#context = context;
    this.#config = config;
  }

  async go(): Promise<void> {
    const { documents, everyMs } = this.#config;
    this.#center = await openConfigCenter(this.#context, { ...this.#config, application: "rules" });
    if (everyMs !== undefined) return this.#turn(0, everyMs);
    for (const document of documents) await this.#publish(document);
  }

  drive(): Promise<void> {
    return Promise.resolve();
  }

  drain(): Promise<void> {
    this.#isLeaving = true;
    this.#cancel();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.drain();
    await this.#center?.close();
  }

  async #turn(index: number, everyMs: number): Promise<void> {
    const { documents } = this.#config;
    // A config centre that is away for a while gets the next one: that is what an operator's retry comes to.
    const published = this.#publish(documents[index]!);
    await (index === 0 ? published : published.catch(() => undefined));
    if (this.#isLeaving) return;
    this.#cancel = this.#context.clock.after(everyMs * 1000, () => {
      void this.#turn((index + 1) % documents.length, everyMs).catch(() => undefined);
    });
  }

  async #publish({ key, content }: RulesConfig["documents"][number]): Promise<void> {
    await this.#center!.publish({ key, group: "dubbo" }, content);
  }
}
