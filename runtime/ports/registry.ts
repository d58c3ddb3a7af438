/** One running instance of a service, as registered. */
export interface Instance {
  /** The instance's name, unique within its service: "orders/0" in a fleet of ours, else host:port. */
  readonly id: string;
  /** The service (application) that it serves: "orders". */
  readonly service: string;
  /** Where it listens: "host:port". */
  readonly address: string;
  /** Its share relative to its siblings: an integer ≥ 0; Dubbo's default is 100. 0 takes no traffic. */
  readonly weight: number;
  /** Labels: `dubbo.tag`, `version`, `zone`, … */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Why an instance left: it said goodbye, its session ran out, or one of the two and the registry can't say which (`gone`). A
 * registry that may have forgotten it gives no reason at all.
 */
export type RemovalReason = "deregistered" | "expired" | "gone";

/** A service's instances as the registry knew them at one version. */
export interface ServiceSnapshot {
  readonly service: string;
  /** Grows with each change of this service. An older snapshot is ignored. */
  readonly version: number;
  readonly instances: readonly Instance[];
  /** Those that left since the snapshot that this watch delivered before, with the reason where the registry knows it. */
  readonly removed: readonly { readonly id: string; readonly reason: RemovalReason }[];
}

/** Connection to the registry: `suspended` while it doesn't answer; instances are *not* gone then (fail static). */
export type RegistryState = "connecting" | "connected" | "suspended" | "closed";

/** Ends what it stands for. May be called twice. */
export interface Subscription {
  close(): void;
}

/** A published instance; it lives as long as the registry session, which the client renews and, once expired, replaces. */
export interface Registration {
  /** Takes the instance out. Resolves once the registry confirmed; rejects with an `RpcError` when it can't be reached. */
  deregister(): Promise<void>;
}

/** Who runs where. Behind it: the embedded registry, ZooKeeper, Nacos, Consul. */
export interface Registry {
  readonly state: RegistryState;
  /** Why it isn't connected, for people; undefined while it is, and where nobody knows. */
  readonly trouble?: string | undefined;
  /** Publishes the instance, now or as soon as the registry can be reached; keeps it published across session expiry. */
  register(instance: Instance): Promise<Registration>;
  /** One read. Rejects with an `RpcError` when the registry can't be reached: an error is never an empty list. */
  lookup(service: string): Promise<ServiceSnapshot>;
  /** Delivers the current snapshot, then each newer one; survives reconnects. Versions only grow. */
  watch(service: string, listener: (snapshot: ServiceSnapshot) => void): Subscription;
  /**
   * Ends the session behind this client's back, as if it had been silent for too long: for those who want to see what follows. Rejects
   * while there is none. Absent where a client has no way to do that.
   */
  expireSession?(): Promise<void>;
  /** Ends the session: everything registered through it disappears at once. */
  close(): Promise<void>;
}
