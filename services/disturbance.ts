/**
 * What a harness does to a node from inside, where no process signal and no link could: to what the embedded registry tells its
 * clients, and to how a provider serves. Each lasts until it is settled, and ends with the process in any case.
 */
export type Disturbance = RegistryDisturbance | ConfigCenterDisturbance | ProviderDisturbance | ProcessDisturbance;

/** To the embedded registry. `clients` are those that are told something else: names of nodes. */
export type RegistryDisturbance =
  /** The sessions of these clients expire now; they go on as they like. */
  | { readonly kind: "session-expiry"; readonly clients: readonly string[] }
  /** How changes reach watchers of `service`: lost, `byMs` later, or twice. */
  | { readonly kind: "missed-watch"; readonly clients: readonly string[]; readonly service: string }
  | {
      readonly kind: "delayed-watch";
      readonly clients: readonly string[];
      readonly service: string;
      readonly byMs: number;
    }
  | { readonly kind: "duplicated-watch"; readonly clients: readonly string[]; readonly service: string }
  /** Reads and watches of `service` answer what was there when it began: a replica that has fallen behind. */
  | { readonly kind: "stale-snapshot"; readonly clients: readonly string[]; readonly service: string }
  /**
   * Watchers of `service` are pushed a list without most of its instances, and no reason why: only the first `keep` (0 to 1) of
   * them. A second read tells the truth.
   */
  | {
      readonly kind: "cut-push";
      readonly clients: readonly string[];
      readonly service: string;
      readonly keep: number;
    }
  /** Each client sees a part of its own of `service`: every instance whose place, counted by the clients, is the client's. */
  | { readonly kind: "diverging-views"; readonly clients: readonly string[]; readonly service: string }
  /** Instances that have gone are listed again, as by a session that nobody holds. */
  | { readonly kind: "resurrected-ephemeral"; readonly ids: readonly string[] }
  /** Every call takes `delayMs` longer, and this share of them fails UNAVAILABLE then. */
  | { readonly kind: "brown-out"; readonly delayMs: number; readonly errorRate: number };

/** To the embedded config centre. */
export type ConfigCenterDisturbance =
  /** Everybody who watches a document is told what it was before its latest change, though that is old by now. */
  { readonly kind: "late-document"; readonly key: string; readonly group: string };

/** To whoever offers a service. */
export type ProviderDisturbance =
  /** It deregisters, and serves on. */
  | { readonly kind: "zombie" }
  /** It deregisters and registers in turn, once each in `everyMs`. */
  | { readonly kind: "flapping-registration"; readonly everyMs: number };

/** To any process. */
export type ProcessDisturbance =
  /** Its session with a registry that isn't ours ends, as if it had been silent for too long. */
  | { readonly kind: "own-session-expiry" }
  /** Calls are taken and never answered; health checks are. */
  | { readonly kind: "half-dead" }
  /** In every `everyMs` nothing runs for `blockMs`. */
  | { readonly kind: "blocks"; readonly everyMs: number; readonly blockMs: number };

/** Ends a disturbance. */
export type Settle = () => void | Promise<void>;
