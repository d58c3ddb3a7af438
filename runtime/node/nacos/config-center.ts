import { createHash, randomUUID } from "node:crypto";

import { createBackoff } from "../../call/backoff.ts";
import { Call } from "../../call/call.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import type { ConfigCenter, ConfigDocument, ConfigKey } from "../../ports/config-center.ts";
import type { ConfigCenterConnection } from "../../ports/infrastructure.ts";
import type { Subscription } from "../../ports/registry.ts";
import { silent } from "../../ports/telemetry.ts";
import { HttpLink } from "../http-api/link.ts";
import { GrpcConnection, grpcAddress } from "./grpc-connection.ts";
import { latestThatHeld, markOf, type Change } from "./history.ts";

export interface NacosConfigCenterOptions extends ConfigCenterConnection {
  readonly address: string;
  readonly dial: (address: string) => string;
  readonly namespace: string;
}

/** The testbed's limit, the same for every config centre; Nacos's own is 10 MiB. */
const documentBytesMax = 1024 * 1024;
/** How long the server holds a question that has nothing new; it answers half a second before. */
const longPollMs = 30_000;
/** Reading a document and its version is repeated so often when it changes in between. */
const readsMax = 50;
/** So many of a document's latest changes are asked for at once. */
const historyPage = 100;

/**
 * Nacos's configuration over its first HTTP API (servers 1.x and 2.x). Dubbo's names are Nacos's: a key is a dataId, in its group.
 *
 * Nacos has no versions, but it keeps a history: a document's version is the number of the latest entry in it, whichever client
 * asks, and a deletion has one too. What a watch can't see is a publish that changes nothing: Nacos tells changes by the content's
 * MD5. Blank documents (empty, or nothing but white space) are refused, by Nacos itself.
 *
 * A conditional publish goes over gRPC, where Nacos compares MD5s. The first one of several holds, but 2.2.4 tells all of them that
 * they did, so the history is asked afterwards: it is ABORTED unless it followed the change that it was made on. What came too late
 * changed nothing, but is an entry of the history like any other, at any time later: versions may grow without a change, and a
 * publish is as good on any of those that stand for the same document. If others changed it and changed it back in the very
 * meantime, Nacos takes a publish that is told as ABORTED.
 */
export class NacosConfigCenter implements ConfigCenter {
  readonly #options: NacosConfigCenterOptions;
  readonly #link: HttpLink;
  readonly #watches = new Map<string, Watched>();
  /** Cancelled when there is something else to ask for. */
  #asking: Call;
  #isAsking = false;
  #grpc: Promise<GrpcConnection> | undefined;
  /** What versions are ahead of the history's numbers: more than 0 once a server has lost its memory. */
  #offset = 0;

  constructor(options: NacosConfigCenterOptions) {
    this.#options = options;
    // A config centre's state interests nobody.
    this.#link = new HttpLink({
      ...options,
      telemetry: silent,
      name: "Nacos",
      pingPath: "/nacos/v1/ns/operator/metrics",
    });
    this.#asking = this.#call();
  }

  /** Ends with `close`. */
  get life(): Call {
    return this.#link.life;
  }

  async get(key: ConfigKey): Promise<ConfigDocument> {
    for (let reads = 0; reads < readsMax; reads++) {
      const before = await this.#latest(key);
      const content = await this.#content(key);
      const after = before === 0 && content === undefined ? 0 : await this.#latest(key);
      if (before !== after) continue;
      const version = after === 0 ? 0 : this.#offset + after;
      return { ...key, content: content ?? "", version, exists: content !== undefined };
    }
    throw new RpcError(`${key.key} changes too often to be read`, { code: "ABORTED", hint: "try again" });
  }

  async publish(key: ConfigKey, content: string, options: { readonly ifVersion?: number } = {}): Promise<number> {
    const bytes = Buffer.byteLength(content);
    if (bytes > documentBytesMax) {
      throw new RpcError(`a document of ${bytes} bytes`, {
        code: "INVALID_ARGUMENT",
        hint: `at most ${documentBytesMax}`,
      });
    }
    if (content.trim() === "") {
      throw new RpcError("Nacos keeps no blank documents", { code: "INVALID_ARGUMENT", hint: "remove it instead" });
    }
    return options.ifVersion === undefined
      ? this.#publish(key, content)
      : this.#publishIf(key, content, options.ifVersion);
  }

  async remove(key: ConfigKey): Promise<number> {
    const present = await this.get(key);
    if (!present.exists) return present.version;
    const answer = await this.#link.call({ method: "DELETE", path: `/nacos/v1/cs/configs?${this.#query(key)}` });
    if (answer.status !== 200) throw this.#link.refusal(answer, "INVALID_ARGUMENT");
    return (await this.get(key)).version;
  }

  watch(key: ConfigKey, listener: (document: ConfigDocument) => void): Subscription {
    if (this.life.isCancelled) return { close: () => undefined };
    const name = `${key.group}\n${key.key}`;
    let watched = this.#watches.get(name);
    if (watched === undefined) {
      watched = { key, document: undefined, isDirty: true, listeners: new Set() };
      this.#watches.set(name, watched);
      // The question under way doesn't ask for it.
      this.#asking.cancel();
    }
    const { listeners } = watched;
    const own = (document: ConfigDocument): void => listener(document);
    listeners.add(own);
    if (watched.document !== undefined) own(watched.document);
    if (!this.#isAsking) void this.#ask();
    return {
      close: () => {
        listeners.delete(own);
        if (listeners.size === 0 && this.#watches.get(name)?.listeners === listeners) this.#watches.delete(name);
      },
    };
  }

  async close(): Promise<void> {
    this.#watches.clear();
    this.#link.close();
    const grpc = this.#grpc;
    this.#grpc = undefined;
    (await grpc?.catch(() => undefined))?.close();
  }

  /** One question for all watched documents, again and again while there are any. */
  async #ask(): Promise<void> {
    const { random } = this.#options;
    const backoff = createBackoff(random.fork("watch"));
    this.#isAsking = true;
    let wasTold = false;
    while (this.#watches.size > 0 && !this.life.isCancelled) {
      this.#asking = this.#call();
      const leave = this.#link.life.onCancel((reason) => this.#asking.cancel(reason));
      try {
        await this.#link.availability.connected(this.life);
        const hasNews = await this.#readDirty();
        // It says that something is new before it can be read, or when it is as it was again.
        if (wasTold && !hasNews) await this.#link.pause(backoff.nextUs(), this.#asking);
        else backoff.reset();
        wasTold = !this.#asking.isCancelled && (await this.#longPoll()) > 0;
      } catch {
        wasTold = false;
        for (const watched of this.#watches.values()) watched.isDirty = true;
        if (!this.#asking.isCancelled) await this.#link.pause(backoff.nextUs(), this.#asking);
      } finally {
        leave();
        this.#asking.end();
      }
    }
    this.#isAsking = false;
  }

  /** Whether any of them is another than before. */
  async #readDirty(): Promise<boolean> {
    let hasNews = false;
    for (const watched of [...this.#watches.values()]) {
      if (!watched.isDirty) continue;
      let document = await this.get(watched.key);
      const known = watched.document;
      watched.isDirty = false;
      if (known !== undefined) {
        const isSame = document.exists === known.exists && document.content === known.content;
        if (document.version < known.version && !isSame) {
          // It came back without its memory, and counts from the beginning.
          this.#offset += known.version;
          document = { ...document, version: document.version + known.version };
        }
        if (document.version <= known.version) continue;
      }
      hasNews = true;
      watched.document = document;
      for (const listener of [...watched.listeners]) listener(document);
    }
    return hasNews;
  }

  /** Waits for news of what is watched, and marks what has changed; answers how many these are. */
  async #longPoll(): Promise<number> {
    const { namespace } = this.#options;
    const byName = new Map<string, Watched>();
    let question = "";
    for (const watched of this.#watches.values()) {
      const { key, document } = watched;
      const md5 = document?.exists === true ? createHash("md5").update(document.content).digest("hex") : "";
      const tenant = namespace === "public" ? "" : `\u0002${namespace}`;
      question += `${key.key}\u0002${key.group}\u0002${md5}${tenant}\u0001`;
      byName.set(`${key.key}\u0002${key.group}`, watched);
    }
    const spell = this.#link.spell;
    const leave = spell.onCancel((reason) => this.#asking.cancel(reason));
    try {
      const answer = await this.#link.call(
        {
          method: "POST",
          path: "/nacos/v1/cs/configs/listener",
          headers: {
            "content-type": "application/x-www-form-urlencoded",
            "long-pulling-timeout": String(longPollMs),
          },
          body: new URLSearchParams({ "Listening-Configs": question }).toString(),
          timeoutMs: longPollMs + 5_000,
        },
        { parent: this.#asking },
      );
      if (answer.status !== 200) throw this.#link.refusal(answer, "INVALID_ARGUMENT");
      let changed = 0;
      for (const line of decodeURIComponent(answer.text.trim()).split("\u0001")) {
        const [dataId, group] = line.split("\u0002");
        const watched = byName.get(`${dataId}\u0002${group}`);
        if (watched === undefined) continue;
        watched.isDirty = true;
        changed++;
      }
      return changed;
    } finally {
      leave();
    }
  }

  /** From the database, not from the server's cache, which is a tenth of a second behind. */
  async #content(key: ConfigKey): Promise<string | undefined> {
    const answer = await this.#link.call({ method: "GET", path: `/nacos/v1/cs/configs?show=all&${this.#query(key)}` });
    if (answer.status === 404 || (answer.status === 200 && answer.text === "")) return undefined;
    const { content } = (this.#link.json(answer) ?? {}) as { readonly content?: unknown };
    return typeof content === "string" ? content : undefined;
  }

  /** The number of the latest change in the history; 0 when there was none. */
  async #latest(key: ConfigKey): Promise<number> {
    const [latest] = await this.#history(key, 1);
    return latest?.id ?? 0;
  }

  /** The latest changes, as far back as `ask` wants them for its answer; it answers undefined as long as it needs older ones. */
  async #changes<A>(
    key: ConfigKey,
    ask: (changes: readonly Change[], areAll: boolean) => A | undefined,
  ): Promise<{ readonly changes: readonly Change[]; readonly answer: A | undefined }> {
    const changes: Change[] = [];
    for (let page = 1; ; page++) {
      const older = await this.#history(key, historyPage, page);
      const last = changes.at(-1)?.id ?? Infinity;
      // What is new since the page before moves what is on this one.
      const added = older.filter(({ id }) => id < last);
      changes.push(...added);
      // Who answers the same page whatever is asked for has no older ones to give.
      const areAll = older.length < historyPage || added.length === 0;
      const answer = ask(changes, areAll);
      if (answer !== undefined || areAll) return { changes, answer };
    }
  }

  async #history(key: ConfigKey, size: number, page = 1): Promise<readonly Change[]> {
    const query = `search=accurate&pageNo=${page}&pageSize=${size}&${this.#query(key)}`;
    const answer = await this.#link.call({ method: "GET", path: `/nacos/v1/cs/history?${query}` });
    const { pageItems } = (this.#link.json(answer) ?? {}) as { readonly pageItems?: unknown };
    if (!Array.isArray(pageItems)) throw new RpcError("Nacos answers no history", { code: "UNAVAILABLE" });
    return pageItems.map((item: { readonly id?: unknown; readonly srcUser?: unknown }) => ({
      id: Number(item.id),
      mark: typeof item.srcUser === "string" ? item.srcUser : "",
    }));
  }

  async #publish(key: ConfigKey, content: string): Promise<number> {
    // Nacos answers no version; this mark finds the publish in the history.
    const mark = randomUUID();
    const answer = await this.#link.call({
      method: "POST",
      path: "/nacos/v1/cs/configs",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: `${this.#query(key)}&${new URLSearchParams({ content, src_user: mark }).toString()}`,
    });
    if (answer.status !== 200 || answer.text.trim() !== "true") throw this.#link.refusal(answer, "INVALID_ARGUMENT");
    const changes = await this.#history(key, historyPage);
    // Beyond the page: so many others have changed it since that the latest of theirs will do.
    return this.#offset + (changes.find((change) => change.mark === mark) ?? changes[0])!.id;
  }

  async #publishIf(key: ConfigKey, content: string, ifVersion: number): Promise<number> {
    const present = await this.get(key);
    const number = Math.max(0, present.version - this.#offset);
    const past = await this.#changes(key, (changes, areAll) => latestThatHeld(changes, number, areAll));
    const base = past.answer ?? 0;
    const isSame = past.changes.some(({ id }) => id === ifVersion - this.#offset && id >= base && id <= number);
    if (!isSame && !(ifVersion === 0 && !present.exists)) throw conflict(key, ifVersion);
    const mark = markOf(randomUUID(), base);
    const connection = await this.#connection();
    try {
      await connection.request("ConfigPublishRequest", {
        ...{ dataId: key.key, group: key.group, tenant: this.#tenant, content },
        // No content has this MD5: it is published only where there is none.
        casMd5: present.exists ? createHash("md5").update(present.content).digest("hex") : "absent",
        additionMap: { src_user: mark },
        module: "config",
      });
    } catch (thrown) {
      const error = toRpcError(thrown);
      throw /cas publish fail/i.test(error.message) ? conflict(key, ifVersion) : error;
    }
    const { answer } = await this.#changes(key, (changes, areAll) => {
      const own = changes.find((change) => change.mark === mark);
      const held = own && latestThatHeld(changes, own.id, areAll);
      return held === undefined ? undefined : { own: own!.id, held };
    });
    if (answer === undefined || answer.held !== answer.own) throw conflict(key, ifVersion);
    return this.#offset + answer.own;
  }

  /** Made when the first conditional publish wants it. */
  async #connection(): Promise<GrpcConnection> {
    const { clock, address, dial, namespace } = this.#options;
    if (this.life.reason !== undefined) throw this.life.reason;
    const target = grpcAddress(address);
    const opening = (this.#grpc ??= GrpcConnection.open(
      {
        clock,
        address: target,
        target: dial(target),
        namespace,
        module: "config",
        onRequest: () => undefined,
        onEnd: () => {
          if (this.#grpc === opening) this.#grpc = undefined;
        },
      },
      this.life,
    ));
    return opening;
  }

  get #tenant(): string {
    const { namespace } = this.#options;
    return namespace === "public" ? "" : namespace;
  }

  #query({ key, group }: ConfigKey): string {
    return new URLSearchParams({ dataId: key, group, tenant: this.#tenant }).toString();
  }

  #call(): Call {
    return new Call({ clock: this.#options.clock, service: "nacos", method: "" });
  }
}

function conflict({ key }: ConfigKey, version: number): RpcError {
  return new RpcError(`${key} isn't at version ${version} any more`, {
    code: "ABORTED",
    hint: "read the document again, and decide again",
  });
}

/** A document that is watched. */
interface Watched {
  readonly key: ConfigKey;
  /** As it was told. */
  document: ConfigDocument | undefined;
  /** It must be read again. */
  isDirty: boolean;
  readonly listeners: Set<(document: ConfigDocument) => void>;
}
