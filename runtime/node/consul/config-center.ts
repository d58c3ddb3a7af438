import type { Call } from "../../call/call.ts";
import { RpcError } from "../../call/status.ts";
import type { ConfigCenter, ConfigDocument, ConfigKey } from "../../ports/config-center.ts";
import type { ConfigCenterConnection } from "../../ports/infrastructure.ts";
import type { Subscription } from "../../ports/registry.ts";
import { silent } from "../../ports/telemetry.ts";
import type { HttpAnswer } from "../http-api/client.ts";
import { HttpLink } from "../http-api/link.ts";
import { blockingQuery, indexOf } from "./blocking.ts";

export interface ConsulConfigCenterOptions extends ConfigCenterConnection {
  readonly address: string;
  readonly prefix: string;
  readonly dial: (address: string) => string;
}

/** Consul's `kv_max_value_size`. */
const documentBytesMax = 512 * 1024;
/** A transaction's body has the same limit, and holds the document in base64 and some words. */
const transactionBytesMax = 360 * 1024;
/** A removal is tried so often against others who change the document at the same time. */
const triesMax = 20;

/**
 * Documents in Consul's key/value store, under "dubbo/config/<group>/<key>", as Dubbo lays them out in ZooKeeper.
 *
 * A document's version is its ModifyIndex. Its absence has none at Consul: here it is one more than that of the last document that
 * this client knew, or 0 when it knew none; the next publish has a greater one in any case, because ModifyIndex counts all writes
 * of the cluster.
 */
export class ConsulConfigCenter implements ConfigCenter {
  readonly #options: ConsulConfigCenterOptions;
  readonly #link: HttpLink;
  readonly #watches = new Set<Subscription>();
  /** What is known of each document, whether it exists or not. */
  readonly #known = new Map<string, Known>();
  /** What versions are ahead of ModifyIndex: more than 0 once a server has lost its memory. */
  #offset = 0;

  constructor(options: ConsulConfigCenterOptions) {
    this.#options = options;
    // A config centre's state interests nobody.
    this.#link = new HttpLink({ ...options, telemetry: silent, name: "Consul", pingPath: "/v1/status/leader" });
  }

  async get(key: ConfigKey): Promise<ConfigDocument> {
    return this.#read(key, await this.#link.call({ method: "GET", path: this.#path(key) }));
  }

  async publish(key: ConfigKey, content: string, options: { readonly ifVersion?: number } = {}): Promise<number> {
    const bytes = Buffer.from(content);
    if (bytes.length > documentBytesMax) {
      throw new RpcError(`a document of ${bytes.length} bytes`, {
        code: "INVALID_ARGUMENT",
        hint: `Consul holds ${documentBytesMax} bytes at most`,
      });
    }
    let condition: number | undefined;
    const { ifVersion } = options;
    if (ifVersion !== undefined) {
      const present = await this.get(key);
      if (ifVersion !== present.version && !(ifVersion === 0 && !present.exists)) throw this.#conflict(key, ifVersion);
      condition = present.exists ? present.version - this.#offset : 0;
    }
    const isDone =
      bytes.length > transactionBytesMax
        ? await this.#put(key, bytes, condition)
        : await this.#set(key, bytes, condition);
    if (isDone === false) throw this.#conflict(key, ifVersion ?? 0);
    if (typeof isDone === "number") return isDone;
    return (await this.get(key)).version;
  }

  async remove(key: ConfigKey): Promise<number> {
    for (let tries = 0; tries < triesMax; tries++) {
      const present = await this.get(key);
      if (!present.exists) return present.version;
      const answer = await this.#link.call({
        method: "DELETE",
        path: `${this.#path(key)}cas=${present.version - this.#offset}`,
      });
      if (this.#link.json(answer) === true) return this.#absent(key, present.version - this.#offset).version;
    }
    throw new RpcError(`${key.key} changes too often to be removed`, { code: "ABORTED", hint: "try again" });
  }

  watch(key: ConfigKey, listener: (document: ConfigDocument) => void): Subscription {
    const { clock, random } = this.#options;
    let told: ConfigDocument | undefined;
    const query = blockingQuery({
      clock,
      random: random.fork(`watch ${key.group} ${key.key}`),
      link: this.#link,
      path: this.#path(key),
      onAnswer: (answer) => {
        const document = this.#read(key, answer);
        if (told !== undefined && (document.version <= told.version || (!document.exists && !told.exists))) return;
        told = document;
        listener(document);
      },
      onBroken: () => undefined,
    });
    const subscription = {
      close: () => {
        query.close();
        this.#watches.delete(subscription);
      },
    };
    this.#watches.add(subscription);
    return subscription;
  }

  async close(): Promise<void> {
    for (const watch of [...this.#watches]) watch.close();
    this.#link.close();
  }

  /** Writes it, and answers its version; false when the condition wasn't met. */
  async #set(key: ConfigKey, bytes: Buffer, condition: number | undefined): Promise<number | false> {
    const verb = condition === undefined ? { Verb: "set" } : { Verb: "cas", Index: condition };
    const body = JSON.stringify([{ KV: { ...verb, Key: this.#name(key), Value: bytes.toString("base64") } }]);
    const answer = await this.#link.call({ method: "PUT", path: "/v1/txn", body });
    if (answer.status === 409) return false;
    const { Results } = this.#link.json(answer) as { readonly Results?: readonly { readonly KV?: RawEntry }[] };
    const version = Results?.[0]?.KV?.ModifyIndex;
    if (typeof version !== "number") throw malformed();
    return this.#exists(key, bytes.toString(), version).version;
  }

  /** For what is too large for a transaction. Consul answers no version: who wants it reads the document. */
  async #put(key: ConfigKey, bytes: Buffer, condition: number | undefined): Promise<boolean> {
    const query = condition === undefined ? "" : `cas=${condition}`;
    const answer = await this.#link.call({ method: "PUT", path: this.#path(key) + query, body: bytes });
    return this.#link.json(answer) === true;
  }

  /** What an answer says, or what is known when that is newer: answers may overtake one another. */
  #read(key: ConfigKey, answer: HttpAnswer): ConfigDocument {
    const known = this.#known.get(this.#name(key));
    const index = Number(indexOf(answer));
    if (known !== undefined && index < known.index) {
      if (known.spell === this.#link.spell) return known.document;
      // It came back without its memory, and counts from the beginning.
      this.#offset += known.index;
    }
    if (answer.status === 404) return this.#absent(key, index);
    const [entry] = this.#link.json(answer) as readonly (RawEntry | undefined)[];
    if (typeof entry?.ModifyIndex !== "number") throw malformed();
    const content = Buffer.from(entry.Value ?? "", "base64").toString();
    return this.#exists(key, content, entry.ModifyIndex);
  }

  #exists(key: ConfigKey, content: string, index: number): ConfigDocument {
    return this.#learn({ ...key, content, version: this.#offset + index, exists: true }, index);
  }

  #absent(key: ConfigKey, index: number): ConfigDocument {
    const known = this.#known.get(this.#name(key))?.document;
    const version = known === undefined ? 0 : known.exists ? known.version + 1 : known.version;
    return this.#learn({ ...key, content: "", version, exists: false }, index);
  }

  #learn(document: ConfigDocument, index: number): ConfigDocument {
    const name = this.#name(document);
    const known = this.#known.get(name);
    if (known !== undefined && document.version < known.document.version) return known.document;
    this.#known.set(name, { document, index, spell: this.#link.spell });
    return document;
  }

  #name({ key, group }: ConfigKey): string {
    return `${this.#options.prefix}dubbo/config/${group}/${key}`;
  }

  #path(key: ConfigKey): string {
    const segments = this.#name(key).split("/").map(encodeURIComponent);
    return `/v1/kv/${segments.join("/")}?`;
  }

  #conflict({ key }: ConfigKey, version: number): RpcError {
    return new RpcError(`${key} isn't at version ${version} any more`, {
      code: "ABORTED",
      hint: "read the document again, and decide again",
    });
  }
}

interface Known {
  readonly document: ConfigDocument;
  /** Consul's, when that was seen, … */
  readonly index: number;
  /** … and the link's spell then. */
  readonly spell: Call;
}

interface RawEntry {
  readonly Value?: string | null;
  readonly ModifyIndex?: unknown;
}

const malformed = (): RpcError =>
  new RpcError("Consul answers no document", { code: "UNAVAILABLE", hint: "is it really Consul that listens there?" });
