import { merged, type Provider } from "../../discovery/dubbo.ts";
import { groupsOf } from "../../discovery/dubbo-application.ts";
import type { Instance } from "../../ports/registry.ts";
import {
  applicationInstanceOf,
  applicationPath,
  applicationsOf,
  mappingPath,
  metadataPath,
  providerOfApplication,
  type ApplicationInstance,
} from "./application-level.ts";
import type { Watcher, ZooKeeperClient } from "./client.ts";
import { providerOfNode, providersPath } from "./interface-level.ts";
import { isReason } from "./protocol.ts";

/** Where instances are registered, and looked for. */
export type Level = "all" | "interface" | "application";

export interface ReaderOptions {
  readonly client: ZooKeeperClient;
  readonly level: Level;
  readonly interfaceName: string;
  /** Whether providers that belong to no group serve every service, of whatever application they are. */
  readonly acceptsAnyGroup: boolean;
}

/** What one read found, and since which version at the latest it was so. */
export interface Found {
  readonly version: number;
  readonly instances: readonly Instance[];
}

/**
 * Reads one service's instances at one or both levels, and merges them. What was read of a node is kept for as long as its watch
 * is silent, so that one instance's coming costs one node's reading.
 *
 * A read isn't atomic: it takes several requests. Its version is what the server knew *before* the first of them, so a change that
 * it missed has a greater one; whoever watches is told of that change, and reads again.
 */
export class ServiceReader {
  readonly #options: ReaderOptions;
  readonly #service: string;
  /** Promises: an event may come before what it outdates has been looked at. */
  readonly #instances = new Map<string, Promise<ApplicationInstance | Garbage | undefined>>();
  readonly #groups = new Map<string, Promise<readonly string[] | Garbage | undefined>>();

  constructor(options: ReaderOptions, service: string) {
    this.#options = options;
    this.#service = service;
  }

  /** The watcher hears once of anything that may change what was read; `outdated` must then be called before the next read. */
  async read(watcher?: Watcher): Promise<Found> {
    const { client, level } = this.#options;
    const [zxid, providers, applications] = await Promise.all([
      client.zxid(),
      level === "application" ? [] : this.#providers(watcher),
      level === "interface" ? [] : this.#applications(watcher),
    ]);
    return { version: client.versionOf(zxid), instances: merged([...providers, ...applications]) };
  }

  /** What was read of this node doesn't hold any more. */
  outdated(path: string): void {
    this.#instances.delete(path);
  }

  /** Nothing that was read holds any more: no watch is left. */
  allOutdated(): void {
    this.#instances.clear();
    this.#groups.clear();
  }

  async #providers(watcher: Watcher | undefined): Promise<readonly Provider[]> {
    const names = await this.#list(providersPath(this.#options.interfaceName), watcher);
    const options = { ...this.#options, service: this.#service };
    return names.map((name) => providerOfNode(name, options)).filter((provider) => provider !== undefined);
  }

  async #applications(watcher: Watcher | undefined): Promise<readonly Provider[]> {
    const own = this.#application(this.#service, watcher);
    if (!this.#options.acceptsAnyGroup) return own;
    const [mine, others] = await Promise.all([own, this.#mapped(watcher)]);
    return [...mine, ...others];
  }

  async #mapped(watcher: Watcher | undefined): Promise<readonly Provider[]> {
    const mapping = await this.#text(mappingPath(this.#options.interfaceName), watcher);
    const applications = applicationsOf(mapping ?? "").filter((application) => application !== this.#service);
    return (await Promise.all(applications.map((application) => this.#application(application, watcher)))).flat();
  }

  async #application(application: string, watcher: Watcher | undefined): Promise<readonly Provider[]> {
    const path = applicationPath(application);
    const names = await this.#list(path, watcher);
    const paths = names.map((name) => `${path}/${name}`);
    const present = new Set(paths);
    for (const known of this.#instances.keys()) {
      if (known.startsWith(`${path}/`) && !present.has(known)) this.#instances.delete(known);
    }
    const providers = await Promise.all(paths.map((each) => this.#provider(application, each, watcher)));
    return providers.filter((provider) => provider !== undefined);
  }

  async #provider(application: string, path: string, watcher: Watcher | undefined): Promise<Provider | undefined> {
    const instance = await this.#kept(this.#instances, path, async () => {
      const content = await this.#content(path, watcher);
      return content === undefined ? undefined : (applicationInstanceOf(content) ?? garbage);
    });
    if (instance === undefined || instance === garbage) return undefined;
    const groups = instance.revision === undefined ? undefined : await this.#offered(application, instance.revision);
    return providerOfApplication(instance, groups, { application, service: this.#service });
  }

  /** A revision's content never changes. */
  async #offered(application: string, revision: string): Promise<readonly string[] | undefined> {
    const path = metadataPath(application, revision);
    // Those of applications long gone needn't be kept.
    if (this.#groups.size > revisionsMax) this.#groups.clear();
    const groups = await this.#kept(this.#groups, path, async () => {
      const content = await this.#content(path, undefined);
      return content === undefined ? undefined : (groupsOf(content, this.#options.interfaceName) ?? garbage);
    });
    return groups === garbage ? [] : groups;
  }

  async #kept<T>(known: Map<string, Promise<T | undefined>>, path: string, read: () => Promise<T | undefined>) {
    let reading = known.get(path);
    if (reading === undefined) known.set(path, (reading = read()));
    try {
      const value = await reading;
      // A node that isn't there is looked for again.
      if (value === undefined && known.get(path) === reading) known.delete(path);
      return value;
    } catch (error) {
      if (known.get(path) === reading) known.delete(path);
      throw error;
    }
  }

  async #list(path: string, watcher: Watcher | undefined): Promise<readonly string[]> {
    const { client } = this.#options;
    for (;;) {
      try {
        return (await client.getChildren(path, watcher)).names;
      } catch (error) {
        if (!isReason(error, "no-node")) throw error;
        if ((await client.exists(path, watcher)) === undefined) return [];
      }
    }
  }

  async #content(path: string, watcher: Watcher | undefined): Promise<string | undefined> {
    try {
      return (await this.#options.client.getData(path, watcher)).data.toString("utf8");
    } catch (error) {
      if (isReason(error, "no-node")) return undefined;
      throw error;
    }
  }

  /** As `#content`, for a node that may come later. */
  async #text(path: string, watcher: Watcher | undefined): Promise<string | undefined> {
    for (;;) {
      const content = await this.#content(path, watcher);
      if (content !== undefined) return content;
      if ((await this.#options.client.exists(path, watcher)) === undefined) return undefined;
    }
  }
}

/** What is there and can't be understood: kept, so that it isn't read again and again. */
const garbage = Symbol("garbage");
type Garbage = typeof garbage;

const revisionsMax = 1000;
