import type { Instance, RemovalReason, ServiceSnapshot, Subscription } from "../ports/registry.ts";

/**
 * One service as a client sees it, for registries that have no versions: each change of what is seen is a version, counted by
 * this client. So versions of two clients can't be compared.
 */
export class ServiceView {
  readonly #service: string;
  readonly #listeners = new Set<(snapshot: ServiceSnapshot) => void>();
  #version = 0;
  #instances: readonly Instance[] = [];

  constructor(service: string) {
    this.#service = service;
  }

  /** 0 while nothing has been seen. */
  get version(): number {
    return this.#version;
  }

  get snapshot(): ServiceSnapshot {
    return { service: this.#service, version: this.#version, instances: this.#instances, removed: [] };
  }

  /** Takes what was seen; tells the listeners when it differs from what they know. The first sight always does. */
  see(instances: readonly Instance[], reasonOf: (gone: Instance) => RemovalReason | undefined): void {
    if (this.#version > 0 && isSameList(this.#instances, instances)) return;
    const ids = new Set(instances.map(({ id }) => id));
    const removed = this.#instances.flatMap((gone) => {
      const reason = ids.has(gone.id) ? undefined : reasonOf(gone);
      return reason === undefined ? [] : [{ id: gone.id, reason }];
    });
    this.#version++;
    this.#instances = instances;
    const news: ServiceSnapshot = { ...this.snapshot, removed };
    for (const listener of [...this.#listeners]) listener(news);
  }

  /** Tells what is known, if anything is, then everything new. */
  watch(listener: (snapshot: ServiceSnapshot) => void): Subscription {
    // One of its own, so that a function that watches twice hears twice.
    const own = (snapshot: ServiceSnapshot): void => listener(snapshot);
    this.#listeners.add(own);
    if (this.#version > 0) own(this.snapshot);
    return { close: () => void this.#listeners.delete(own) };
  }
}

function isSameList(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, index) => isSame(instance, b[index]!));
}

function isSame(a: Instance, b: Instance): boolean {
  if (a.id !== b.id || a.address !== b.address || a.weight !== b.weight) return false;
  const keys = Object.keys(a.metadata);
  return keys.length === Object.keys(b.metadata).length && keys.every((key) => a.metadata[key] === b.metadata[key]);
}
