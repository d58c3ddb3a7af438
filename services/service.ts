import type { PolicyTables } from "../runtime/call/client.ts";
import type { Clock } from "../runtime/ports/clock.ts";
import type { DataSource } from "../runtime/ports/data-source.ts";
import type { Disk } from "../runtime/ports/disk.ts";
import type { Http } from "../runtime/ports/http.ts";
import type { InfrastructureTable } from "../runtime/ports/infrastructure.ts";
import type { Random } from "../runtime/ports/random.ts";
import type { SpanExporter } from "../runtime/ports/span-exporter.ts";
import type { Transport } from "../runtime/ports/transport.ts";
import type { CallLog } from "../runtime/telemetry/call-log.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import type { Tracer } from "../runtime/telemetry/tracer.ts";
import type { Drive } from "./control.ts";
import type { Disturbance, Settle } from "./disturbance.ts";

/** Everything that a service may touch: its ports, and who it is. */
export interface NodeContext {
  /** "orders/0": the instance's id. */
  readonly node: string;
  /** Where to listen: "host:port"; port 0 takes a free one. */
  readonly listen: string;
  /** What to register instead: "host:port", where port 0 stands for the one it listens at. Absent: where it listens. */
  readonly advertise?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Those of the other protocols, by their names in the registry. Absent in worlds with one for all. */
  readonly transports?: Readonly<Record<string, Transport>> | undefined;
  /** Absent in worlds without: nobody from outside calls there. */
  readonly http?: Http | undefined;
  readonly disk: Disk;
  /** Where rows are that are in no database of their own. Default: `openRowStore`. */
  readonly openRows?: ((disk: Disk) => Promise<DataSource>) | undefined;
  readonly telemetry: Telemetry;
  readonly calls: CallLog;
  readonly policies: PolicyTables;
  /** How to reach registries and config centres that aren't our own. */
  readonly infrastructure: InfrastructureTable;
  /** Where spans go beside the records, in worlds with a trace store. */
  readonly spanExporter?: SpanExporter | undefined;
  /** Made by the node itself where it was told to trace. */
  readonly tracer?: Tracer | undefined;
  /** A module of the user's, by its whole path. Rejects with what is wrong with it. Absent where there are none. */
  readonly load?: ((file: string) => Promise<unknown>) | undefined;
  /** Resolves after as much time as `us` of work takes on this node: longer while the node is slow. */
  work(us: number): Promise<void>;
  /** Nothing of this process runs for so long, as in an endless loop or a long collection of garbage. Absent where that can't be had. */
  readonly block?: (us: number) => void;
}

/** A program of the fleet. */
export interface ServiceProgram<Config = unknown> {
  readonly name: string;
  /** Checks a configuration from outside and fills in defaults; throws a `ConfigError` that names the key. */
  parse(config: unknown): Config;
  /** Starts listening; registers nothing and calls nobody yet. */
  start(context: NodeContext, config: Config): Promise<RunningService>;
}

/** A service that listens. */
export interface RunningService {
  /** Where it listens; undefined for a pure client. */
  readonly address: string | undefined;
  /** Registers, looks up what it calls, and resolves when it can do its work. */
  go(): Promise<void>;
  /** Makes calls, open loop; resolves when every one has ended. */
  drive?(drive: Drive): Promise<void>;
  /**
   * Reports how these transactions stand, and what it has left of any: it resolves when that is in the records. Default: nothing to tell.
   */
  audit?(xids: readonly string[]): Promise<void>;
  /** Breaks it from inside, until the answer is called. Undefined: this program has nothing of the kind. */
  disturb?(disturbance: Disturbance): Promise<Settle> | undefined;
  /** Graceful end of service: deregister, wait for the news to spread, finish what is in flight. */
  drain(): Promise<void>;
  /** Lets go of everything. */
  stop(): Promise<void>;
}

/** A configuration that a program can't run with. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "INVALID_CONFIG";
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
