import type { RowKeys } from "../../services/bank/holdings.ts";
import type { BankMode } from "../../services/bank/mode.ts";
import type { CheckSpec, FaultSpec, Scenario } from "./schema.ts";

/** The worlds that a scenario can run in. */
export type WorldName = "sim" | "local" | "docker";

/** What serves as registry and config centre: in `docker` the real one, in `sim` and `local` the embedded one in its manner. */
export type RegistryName = "embedded" | "zookeeper" | "nacos" | "consul";

/** Who coordinates global transactions: ours, or in `docker` a Seata server, with account and stock in PostgreSQL. */
export const coordinatorNames = ["embedded", "seata"] as const;
export type CoordinatorName = (typeof coordinatorNames)[number];

/** Who makes the calls: the fleet's consumers, or k6 through gateways. */
export type LoadName = "builtin" | "k6";

/** A scenario resolved for one world and one seed: every node, every due time, every moment as a number. */
export interface Plan {
  readonly scenario: Scenario;
  readonly world: WorldName;
  readonly seed: number;
  readonly registry: RegistryName;
  /** Absent: the fleet has no bank. */
  readonly coordinator?: CoordinatorName | undefined;
  /** Default "builtin". */
  readonly load?: LoadName | undefined;
  /** Of the scenario's value, with every `--set` applied. */
  readonly scenarioHash: string;
  readonly nodes: readonly NodePlan[];
  /** World `local`: which nodes share a process. Absent: each has its own. */
  readonly processes?: readonly ProcessPlan[] | undefined;
  /** The share of traces that is recorded; absent: calls aren't traced. */
  readonly tracing?: { readonly sample: number } | undefined;
  /** Nodes talk over mutual TLS, each by a certificate for its service; in `sim` they have the identity and nothing else of it. */
  readonly hasMutualTls: boolean;
  /** Nodes count what they do, and Prometheus scrapes them: some check is about that. */
  readonly isScraped: boolean;
  /** What of their machines nodes report, because a fault of the timeline shows there and nowhere else. Absent: nothing. */
  readonly watched?: readonly ("clock" | "disk")[] | undefined;
  /** Documents to publish before the fleet gets ready. */
  readonly rules: readonly { readonly key: string; readonly content: string }[];
  readonly drives: readonly DrivePlan[];
  /** In the order of `atUs`. */
  readonly timeline: readonly StepPlan[];
  readonly checks: readonly CheckPlan[];
  /** Length of the load. */
  readonly durationUs: number;
  /** How long calls may go on after the last one was due. */
  readonly drainUs: number;
  /** How long global transactions may take to come to their ends after that; absent: there are none. */
  readonly settleUs?: number | undefined;
}

/** The programs of a fleet (services/programs.ts); "database" is always somebody else's. */
export type ProgramName =
  | "registry"
  | "config-center"
  | "coordinator"
  | "database"
  | "provider"
  | "consumer"
  | "gateway"
  | "order"
  | "account"
  | "stock";

export interface NodePlan {
  /** "orders/0", "registry/0", "config-center/0", "coordinator/0", "database/0" */
  readonly id: string;
  readonly service: string;
  readonly program: ProgramName;
  /** The program's configuration; addresses of the infrastructure are filled in by the world. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tag: string | undefined;
  readonly weight: number;
  /** It is somebody else's program; `config` is empty then. */
  readonly foreign?: ForeignPlan;
}

/** The module of the user's own that does a node's work; undefined: none does. */
export const ownFileOf = ({ config }: Pick<NodePlan, "config">): string | undefined =>
  (config["own"] as { readonly file: string } | undefined)?.file;

/** A process, and the nodes that run in it. */
export interface ProcessPlan {
  readonly nodes: readonly string[];
  /** Why its node shares it with nobody: "kill at 2 s", "infrastructure". Absent: it may be shared. */
  readonly alone?: string;
}

/** How a program that Flyball didn't write is run. */
export interface ForeignPlan {
  /** Undefined: the plain Node.js image, with the project in it. */
  readonly image: string | undefined;
  readonly command: readonly string[] | undefined;
  /** With placeholders. */
  readonly environment: Readonly<Record<string, string>>;
  /** It is ready when it prints a line that contains this; undefined: when it listens at its port. */
  readonly readyLine: string | undefined;
  readonly readyWithinUs: number;
  readonly stopWithinUs: number;
}

/** The calls that one consumer node makes, as microseconds after the start of the load. */
export interface DrivePlan {
  readonly node: string;
  readonly dueUs: readonly number[];
}

export interface StepPlan {
  readonly atUs: number;
  /** Numbers the steps: "2" names this one in records and checks. */
  readonly index: number;
  readonly what:
    | {
        readonly kind: "fault";
        readonly fault: FaultSpec;
        readonly forUs: number | undefined;
        readonly nodes: readonly string[];
        readonly links: readonly LinkPlan[];
        /** `disconnect`: every pair that connects to or from its nodes, for worlds that have no cable to pull. */
        readonly cables?: readonly LinkPlan[];
        /** `session-expiry`: the registry isn't ours, and its clients' sessions are ended from their side. */
        readonly isRegistryForeign?: true;
        /** Of a rule that is there for a while: the document that comes back; without content it is deleted. */
        readonly restores?: { readonly content: string | undefined };
      }
    | { readonly kind: "stop" | "restart"; readonly nodes: readonly string[] }
    | { readonly kind: "publish"; readonly key: string; readonly content: string | undefined }
    | {
        readonly kind: "rollout";
        readonly service: string;
        readonly tag: string;
        readonly key: string;
        readonly content: string;
        readonly percents: readonly number[];
        readonly everyUs: number;
        readonly acceptable: number;
        readonly unacceptable: number;
        readonly alpha: number;
        readonly beta: number;
        /** It touches none. */
        readonly nodes: readonly string[];
      };
}

/** One direction-less pair: connections that `from` makes to `to`. */
export interface LinkPlan {
  readonly from: string;
  readonly to: string;
}

/** The bank that a check is about: its services, and what a piece costs. */
export interface BankPlan {
  readonly order: string;
  readonly account: string;
  readonly stock: string;
  readonly price: number;
  readonly mode: BankMode;
  /** What a row's primary key is there. Absent: a name. */
  readonly keys?: { readonly account: RowKeys; readonly stock: RowKeys };
}

export interface CheckPlan {
  readonly check: CheckSpec;
  /** "orders success rate ≥ 99%": unique within a scenario. */
  readonly name: string;
  readonly phase: "safety" | "recovery";
  /** Trials that the load will give it, by expectation. */
  readonly expectedTrials: number;
  /** The largest probability of a false alarm; null for a timing check in real time. */
  readonly falseAlarm: number | null;
  /** "95%": for people. */
  readonly detects: string;
  /** `attempts-per-call`: how many attempts beyond the first (under a bound below 1: in all) the callers' settings allow. */
  readonly extraAttemptsMax?: number;
  /** Checks of transactions. */
  readonly bank?: BankPlan;
  /** `access-log`, and checks of transactions: the services that call the one which is looked at. Absent: whoever isn't ours may, too. */
  readonly callers?: readonly string[];
  /** `traces`: one that isn't traced is broken. */
  readonly isEveryCallTraced?: boolean;
}
