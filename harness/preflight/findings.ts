/** What is wrong with rules, each with a request that shows it. */
export interface Finding {
  readonly kind: FindingKind;
  /** Errors make an exit code of 1; warnings only with `--strict`. */
  readonly level: "error" | "warning";
  /** The document's key, and the line that is meant. Absent: it is about the fleet. */
  readonly key?: string;
  readonly source?: string;
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
  readonly service?: string;
  /** The counterexample: who asks, with what, and what becomes of it. */
  readonly request?: FindingRequest;
}

export interface FindingRequest {
  readonly text: string;
  readonly caller: {
    readonly application: string;
    readonly host?: string | undefined;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly method: string;
  readonly attachments: Readonly<Record<string, string>>;
  readonly arguments: Readonly<Record<string, string>>;
  readonly to: readonly RouteShare[];
}

export interface RouteShare {
  /** Of such requests, 0 to 1. */
  readonly share: number;
  readonly count: number;
  /** Ids, the first ten. */
  readonly instances: readonly string[];
}

export type FindingKind =
  /** It can't be read: the version before stays in force. */
  | "malformed"
  /** No service and no caller of the fleet reads it. */
  | "concerns-nobody"
  /** No request can be meant by a left side. */
  | "never-matches"
  /** A right side means no instance. */
  | "no-instance"
  /** Two conditions that can't both be kept. */
  | "contradiction"
  /** A request is left without an instance, and no condition says that it should be. */
  | "nobody"
  /** No request reaches an instance. */
  | "unreachable"
  /** dubbo-go 3.3.2 acts otherwise. */
  | "dubbo-go"
  /** Only Flyball knows it, or older Dubbo acts otherwise. */
  | "portability";

/** So many of one kind are told one by one. */
export const findingsMax = 100;
