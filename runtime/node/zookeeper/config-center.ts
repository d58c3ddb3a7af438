import { RpcError } from "../../call/status.ts";
import type { ConfigCenter, ConfigDocument, ConfigKey } from "../../ports/config-center.ts";
import type { ConfigCenterConnection } from "../../ports/infrastructure.ts";
import type { Subscription } from "../../ports/registry.ts";
import { ZooKeeperClient, type Watcher } from "./client.ts";
import { requestBytesMax } from "./connection.ts";
import { LastingWatch } from "./lasting-watch.ts";
import { isReason, type Stat } from "./protocol.ts";

export interface ZooKeeperConfigCenterOptions extends ConfigCenterConnection {
  readonly servers: readonly string[];
  readonly chroot: string;
  readonly dial: (address: string) => string;
  /** Dubbo's "/dubbo/config". */
  readonly root: string;
}

/** A config centre registers nothing: its session may be as long as Dubbo's (its reports' 3 s, as a server of default ticks grants). */
const sessionTimeoutMs = 4000;

/** Documents whose last version is remembered: far more than a fleet has keys. */
const seenMax = 10_000;

/**
 * ZooKeeper as the config centre, in Dubbo's format: a document is the content of the node <root>/<group>/<key>.
 *
 * A node's own version begins anew when it is made again, so a document's version is the number of its last change in the whole
 * tree (mzxid). What was removed keeps no node that could say when; its version is that of the last coming or going in its group
 * (the directory's pzxid), and 0 for whoever never saw the document. So versions grow, and a document's are the same for everybody.
 *
 * `ifVersion` names a document or an absence. That a document came and went again unseen since an absence was read isn't noticed.
 */
export class ZooKeeperConfigCenter implements ConfigCenter {
  readonly #options: ZooKeeperConfigCenterOptions;
  readonly #client: ZooKeeperClient;
  readonly #watches = new Set<Subscription>();
  /** By path, the oldest first. */
  readonly #seen = new Map<string, Seen>();

  constructor(options: ZooKeeperConfigCenterOptions) {
    this.#options = options;
    const { clock, random, servers, chroot, dial } = options;
    this.#client = new ZooKeeperClient({
      clock,
      random: random.fork("zookeeper"),
      servers,
      chroot,
      dial,
      sessionTimeoutMs,
      onState: () => undefined,
    });
  }

  async get(key: ConfigKey): Promise<ConfigDocument> {
    return this.#client.inTime(this.#read(key));
  }

  async publish(key: ConfigKey, content: string, options: { readonly ifVersion?: number } = {}): Promise<number> {
    const path = this.#pathOf(key);
    const data = Buffer.from(content);
    if (data.length > documentBytesMax) {
      throw new RpcError(`a document of ${data.length} bytes`, {
        code: "INVALID_ARGUMENT",
        hint: `at most ${documentBytesMax}: ZooKeeper's jute.maxbuffer`,
      });
    }
    return this.#client.inTime(this.#write(key, path, data, options.ifVersion));
  }

  async remove(key: ConfigKey): Promise<number> {
    const path = this.#pathOf(key);
    return this.#client.inTime(
      (async () => {
        try {
          const version = this.#client.versionOf(await this.#client.delete(path));
          this.#remember(path, { version, exists: false });
          return version;
        } catch (error) {
          if (!isReason(error, "no-node")) throw error;
          return (await this.#read(key)).version;
        }
      })(),
    );
  }

  watch(key: ConfigKey, listener: (document: ConfigDocument) => void): Subscription {
    // Wrong names are told at once, not tried for ever.
    this.#pathOf(key);
    const { clock, random } = this.#options;
    let version = -1;
    let exists: boolean | undefined;
    const watch = new LastingWatch<ConfigDocument>({
      clock,
      random: random.fork(`watch ${key.group} ${key.key}`),
      client: this.#client,
      read: (watcher) => this.#read(key, watcher),
      tell: (document) => {
        const isKnown = document.version === version || (!document.exists && exists === false);
        if (document.version < version && !isKnown) return false;
        if (isKnown) return true;
        ({ version, exists } = document);
        listener(document);
        return true;
      },
    });
    if (this.#client.isClosed) watch.close();
    else this.#watches.add(watch);
    return {
      close: () => {
        this.#watches.delete(watch);
        watch.close();
      },
    };
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    this.#watches.clear();
    await this.#client.close();
  }

  async #read(key: ConfigKey, watcher?: Watcher): Promise<ConfigDocument> {
    const path = this.#pathOf(key);
    for (let looks = 1; ; looks++) {
      // The directory first: what it tells of an absence is older than the absence.
      const [directory, stat] = await Promise.all([
        this.#client.exists(path.slice(0, path.lastIndexOf("/"))),
        this.#client.exists(path, watcher),
      ]);
      if (stat === undefined) {
        // A directory that knows nothing of it after a second look was made anew: it tells no more than one that isn't there.
        const version = this.#absence(path, looks > 1 ? undefined : directory?.pzxid);
        if (version === undefined) continue;
        return { ...key, content: "", version, exists: false };
      }
      try {
        const { data, stat: read } = await this.#client.getData(path);
        const version = this.#client.versionOf(read.mzxid);
        this.#remember(path, { version, exists: true });
        return { ...key, content: data.toString("utf8"), version, exists: true };
      } catch (error) {
        if (!isReason(error, "no-node")) throw error;
      }
    }
  }

  async #write(key: ConfigKey, path: string, data: Uint8Array, ifVersion: number | undefined): Promise<number> {
    for (;;) {
      const stat = await this.#client.exists(path);
      const version = stat === undefined ? this.#absenceSeen(path) : this.#client.versionOf(stat.mzxid);
      const isMet = ifVersion === undefined || ifVersion === version || (ifVersion === 0 && stat === undefined);
      if (!isMet) throw aborted(key, version, ifVersion);
      try {
        if (stat === undefined) {
          const made = await this.#client.create(path, data);
          return this.#published(path, made);
        }
        const written = await this.#client.setData(path, data, ifVersion === undefined ? -1 : stat.version);
        return this.#published(path, written);
      } catch (error) {
        if (stat === undefined && isReason(error, "no-node")) {
          await this.#client.makePath(path.slice(0, path.lastIndexOf("/")));
        } else if (!isReason(error, "node-exists", "no-node", "bad-version")) {
          throw error;
        }
        // Somebody else was faster: look again, and refuse where that matters.
      }
    }
  }

  #published(path: string, { mzxid }: Stat): number {
    const version = this.#client.versionOf(mzxid);
    this.#remember(path, { version, exists: true });
    return version;
  }

  #absenceSeen(path: string): number {
    const seen = this.#seen.get(path);
    return seen === undefined || seen.exists ? 0 : seen.version;
  }

  /**
   * An absence's version: 0 for a document that this client never saw, else that of its directory's last change. As long as the
   * document stays away its absence keeps its version, whoever else comes and goes. Undefined when the document went after its
   * directory was looked at.
   */
  #absence(path: string, pzxid: bigint | undefined): number | undefined {
    const seen = this.#seen.get(path);
    if (seen === undefined) return 0;
    if (!seen.exists) return seen.version;
    // Without its directory nothing tells when it went: after it was seen, in any case.
    const version = pzxid === undefined ? seen.version + 1 : this.#client.versionOf(pzxid);
    if (version <= seen.version) return undefined;
    this.#remember(path, { version, exists: false });
    return version;
  }

  #remember(path: string, seen: Seen): void {
    const earlier = this.#seen.get(path);
    // Several requests may be under way: what was seen last needn't be the latest.
    if (earlier !== undefined && earlier.version > seen.version) return;
    this.#seen.delete(path);
    this.#seen.set(path, seen);
    if (this.#seen.size <= seenMax) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }

  #pathOf({ key, group }: ConfigKey): string {
    for (const [what, name] of [
      ["key", key],
      ["group", group],
    ] as const) {
      if (name === "" || name.length > 256 || name === "." || name === ".." || unspeakable.test(name)) {
        throw new RpcError(`ZooKeeper takes no ${what} ${JSON.stringify(name.slice(0, 60))}`, {
          code: "INVALID_ARGUMENT",
          hint: `1 to 256 characters, without "/" and control characters`,
        });
      }
    }
    return `${this.#options.root}/${group}/${key}`;
  }
}

/** A document that was seen: its version, or that of its absence. */
interface Seen {
  readonly version: number;
  readonly exists: boolean;
}

/** A request has a path and a header besides. */
const documentBytesMax = requestBytesMax - 2048;

/** What can't be a part of a path (PathUtils.validatePath). */
const unspeakable = /[/\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/;

const aborted = ({ key }: ConfigKey, version: number, ifVersion: number | undefined): RpcError =>
  new RpcError(`${key} is at version ${version}, not at ${ifVersion}`, {
    code: "ABORTED",
    hint: "read the document again, and decide again",
  });
