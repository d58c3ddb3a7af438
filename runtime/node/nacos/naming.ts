import type { RegistryState, RemovalReason, Subscription } from "../../ports/registry.ts";

/** An instance as Nacos has it. */
export interface NacosHost {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly isHealthy: boolean;
  /** An operator may take an instance out without its doing. */
  readonly isEnabled: boolean;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A service of Nacos's at one moment. */
export interface Sighting {
  readonly hosts: readonly NacosHost[];
  /** The server's time of this state: of two from one server process the larger is newer. */
  readonly order: number;
  /** Counts the server processes that this client can have seen: one that came back may have lost its memory. */
  readonly incarnation: number;
}

/** What is registered. */
export interface NacosRegistration {
  readonly service: string;
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A registration that lasts: over reconnects, and a server that forgot it. */
export interface Hold {
  /** Resolves when the server has confirmed for the first time; rejects when it refused, or with CANCELLED. */
  readonly confirmed: Promise<void>;
  /** Takes it out. Resolves once the server confirmed; rejects with an `RpcError` when it can't be reached. */
  release(): Promise<void>;
  /** Ends without taking it out: another one takes its place. */
  abandon(): void;
}

/** Nacos's naming service, over one of its protocols. */
export interface Naming {
  readonly state: RegistryState;
  /** See `Registry`. */
  readonly trouble: string | undefined;
  /** What it means that an instance vanishes from the lists of a server that went on answering. */
  readonly vanished: RemovalReason;
  hold(registration: NacosRegistration): Hold;
  /** One read. Rejects with an `RpcError` when the server can't be reached. */
  read(service: string): Promise<Sighting>;
  /** What the server says of the service from now on, unchanged or not, empty or not. */
  subscribe(service: string, listener: (sighting: Sighting) => void): Subscription;
  /** Takes out, as far as the server can be reached, what is held, and ends everything. */
  close(): Promise<void>;
}

/** The hosts of a `ServiceInfo` (the answer to a list, the text of a push); what makes no sense is left out. */
export function sightingOf(serviceInfo: unknown, incarnation: number): Sighting | undefined {
  const { hosts, lastRefTime } = (serviceInfo ?? {}) as { readonly hosts?: unknown; readonly lastRefTime?: unknown };
  if (!Array.isArray(hosts)) return undefined;
  return {
    hosts: hosts.flatMap((host: unknown) => {
      const { ip, port, weight, healthy, enabled, metadata } = (host ?? {}) as Readonly<Record<string, unknown>>;
      if (typeof ip !== "string" || typeof port !== "number") return [];
      const entries = Object.entries((metadata ?? {}) as Readonly<Record<string, unknown>>);
      return [
        {
          ip,
          port,
          weight: typeof weight === "number" ? weight : 1,
          isHealthy: healthy !== false,
          isEnabled: enabled !== false,
          metadata: new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
        },
      ];
    }),
    order: typeof lastRefTime === "number" ? lastRefTime : 0,
    incarnation,
  };
}
