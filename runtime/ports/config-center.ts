import type { Subscription } from "./registry.ts";

/** A document's name: Dubbo's key ("orders.tag-router") in Dubbo's group ("dubbo"). */
export interface ConfigKey {
  readonly key: string;
  readonly group: string;
}

/** A document at one version; `exists: false` after it was deleted or before it was first published. */
export interface ConfigDocument extends ConfigKey {
  readonly content: string;
  /** Grows with each publish or delete of this key; 0 means never published. */
  readonly version: number;
  readonly exists: boolean;
}

/** Live configuration. Behind it: the embedded config centre, ZooKeeper, Nacos, Consul KV. */
export interface ConfigCenter {
  get(key: ConfigKey): Promise<ConfigDocument>;
  /**
   * Writes the document and answers its version. With `ifVersion` only when that is the current one; else rejects with an
   * `RpcError` ABORTED.
   */
  publish(key: ConfigKey, content: string, options?: { readonly ifVersion?: number }): Promise<number>;
  /** Deletes the document and answers the version of its absence. */
  remove(key: ConfigKey): Promise<number>;
  /** Delivers the current document, then each newer version (never an older one); survives reconnects. */
  watch(key: ConfigKey, listener: (document: ConfigDocument) => void): Subscription;
  close(): Promise<void>;
}
