import type { Handlers } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Coordinator } from "../../runtime/ports/coordinator.ts";
import type { DataSource, Table } from "../../runtime/ports/data-source.ts";
import type { Leftover } from "../../runtime/telemetry/events.ts";
import type { Change } from "../../runtime/transactions/observed.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { fenceStatus, fenceTable } from "../../runtime/transactions/tcc/fence.ts";
import { undoTable } from "../../runtime/transactions/at/undo-log.ts";
import { TccResource, type TccStep } from "../../runtime/transactions/tcc/tcc.ts";
import { xidOf } from "../../runtime/transactions/xid.ts";
import { ConfigReader } from "../config.ts";
import { sample, type Distribution } from "../distribution.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Reservations } from "../proto/bank_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { openCoordinator, openDataSource } from "../transactions.ts";
import { AtReservations, resourceOf, undoLeft } from "./at.ts";
import { bankModes, type BankMode } from "./mode.ts";
import { holdingsOf, reserving, seedHoldings, tellingOf, type Holding, type Reservation } from "./holdings.ts";

export interface ReservationsConfig extends OfferConfig {
  /** How it takes part in transactions. Default "tcc". */
  readonly mode: BankMode;
  /** The coordinator: "host:port", or "seata://127.0.0.1:8091". */
  readonly coordinator: string;
  /** "postgres://…". Default: rows on the node's own disk, so that a service has one instance. */
  readonly database: string | undefined;
  /** Accounts, or goods. Default 100. */
  readonly items: number;
  /** How much there is of each at first. Default 1 000 000. */
  readonly initial: number;
  /** Time between a branch's registration and its try; in AT, before its local transaction. Default: none. */
  readonly serviceTime: Distribution;
}

/** The bank's `account` and `stock`: they set aside what an order wants, and use it up or give it back when its transaction ends. */
export function reservations(name: "account" | "stock"): ServiceProgram<ReservationsConfig> {
  return {
    name,

    parse: (value) => {
      const reader = new ConfigReader(value);
      const count = { min: 1, isInteger: true };
      const config: ReservationsConfig = {
        ...parseOffer(reader, reader.text("service", name)),
        mode: reader.choice("mode", bankModes) ?? "tcc",
        coordinator: reader.requiredInfrastructure("coordinator"),
        database: reader.infrastructure("database"),
        items: reader.number("items", { ...count, max: 100_000 }, 100),
        initial: reader.number("initial", { ...count, min: 0, max: 1_000_000_000_000 }, 1_000_000),
        serviceTime: reader.distribution("serviceTime", { kind: "constant", us: 0 }),
      };
      reader.end();
      return config;
    },

    start: async (context, config) => {
      const running = new RunningReservations(context, config);
      await running.listen();
      return running;
    },
  };
}

class RunningReservations implements RunningService {
  readonly #context: NodeContext;
  readonly #config: ReservationsConfig;
  readonly #offer: Offer;
  #coordinator: Coordinator | undefined;
  #dataSource: DataSource | undefined;
  #participant: Participant | undefined;

  constructor(context: NodeContext, config: ReservationsConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
  }

  get address(): string | undefined {
    return this.#offer.address;
  }

  listen(): Promise<void> {
    return this.#offer.listen((server) => server.add(Reservations, this.#handlers()));
  }

  async go(): Promise<void> {
    const { mode, coordinator, database, application } = this.#config;
    const [table, resource] = [this.#table, this.#resourceId];
    const opened = await openDataSource(this.#context, database, [table, mode === "at" ? undoTable : fenceTable]);
    this.#dataSource = opened;
    await seedHoldings(opened, table, this.#config);
    await this.audit();
    const dataSource = tellingOf(opened, table, (row, branch) => {
      const { item, free, frozen, used } = row as Holding;
      this.#tell({ what: "holding", ...branch, resource, item, free, frozen, used });
    });
    await this.#offer.connect();
    this.#coordinator = await openCoordinator(this.#context, coordinator, application);
    this.#participant = mode === "at" ? this.#byAt(dataSource) : this.#byTcc(dataSource);
    // A coordinator that is away is tried on; nobody can use this service until it is there.
    await this.#participant.register().catch(() => undefined);
    await this.#offer.register(Reservations.typeName);
  }

  /** What is there, and which branches still wait for their second phase. Without `xids` nobody asked: it begins its life. */
  async audit(xids?: readonly string[]): Promise<void> {
    const [table, resource] = [this.#table, this.#resourceId];
    const dataSource = this.#dataSource;
    if (dataSource === undefined) return;
    const rows = (await dataSource.rows(table)) as readonly Holding[];
    const holdings = rows.map(({ item, free, frozen, used }) => ({ item, free, frozen, used }));
    const left = await this.#left(dataSource);
    const life = xids === undefined ? { isFirst: true as const } : {};
    this.#tell({ what: "audit", xid: "", ...life, resource, holdings, left });
  }

  async drain(): Promise<void> {
    await this.#offer.drain();
    await this.#close();
  }

  async stop(): Promise<void> {
    await this.#offer.stop();
    await this.#close();
  }

  #byTcc(dataSource: DataSource): Participant {
    const { clock } = this.#context;
    const action = reserving(this.#resourceId, this.#table);
    const onStep = (step: TccStep): void => this.#tell({ what: "step", resource: this.#resourceId, ...step });
    const resource = new TccResource({ clock, coordinator: this.#coordinator!, dataSource, action, onStep });
    return {
      register: () => resource.register(),
      reserve: async (xid, reservation, work) => {
        const branchId = await resource.begin(xid, reservation);
        await work();
        await resource.try({ xid, branchId }, reservation);
        return branchId;
      },
      close: () => Promise.resolve(),
    };
  }

  #byAt(dataSource: DataSource): Participant {
    const { clock, telemetry, node } = this.#context;
    const { database } = this.#config;
    const resource = new AtReservations({
      ...{ clock, telemetry, coordinator: this.#coordinator!, dataSource, resourceId: resourceOf(node, database) },
      table: this.#table,
    });
    return {
      register: () => resource.register(),
      reserve: async (xid, reservation, work) => {
        await work();
        return resource.reserve(xid, reservation);
      },
      close: () => resource.close(),
    };
  }

  /** Branches that wait for their second phase, and undo logs that are still there. */
  async #left(dataSource: DataSource): Promise<readonly Leftover[]> {
    if (this.#config.mode === "at") return undoLeft(dataSource);
    return (await dataSource.rows(fenceTable))
      .filter(({ status, action_name }) => status === fenceStatus.tried && action_name === this.#resourceId)
      .map(({ xid, branch_id }) => ({ kind: "branch", xid: String(xid), branchId: String(branch_id) }));
  }

  get #table(): Table {
    return holdingsOf(this.#config.service);
  }

  /** The resource's id. */
  get #resourceId(): string {
    return `${this.#config.service}.reserve`;
  }

  #tell(change: Change): void {
    const { clock, telemetry } = this.#context;
    telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...change });
  }

  async #close(): Promise<void> {
    await this.#participant?.close();
    await this.#coordinator?.close();
    await this.#dataSource?.close();
  }

  #handlers(): Handlers<typeof Reservations> {
    const context = this.#context;
    const times = context.random.fork("service time");
    return {
      reserve: async ({ item, amount }, call) => {
        const us = sample(this.#config.serviceTime, times);
        const participant = this.#participant;
        if (participant === undefined) throw new RpcError(`${context.node} isn't ready`, { code: "UNAVAILABLE" });
        const xid = xidOf(call.metadata);
        if (xid === undefined) {
          throw new RpcError("nothing is reserved outside of a transaction", {
            code: "FAILED_PRECONDITION",
            hint: "send tx_xid with the call",
          });
        }
        if (amount === 0) throw new RpcError("an amount of 0", { code: "INVALID_ARGUMENT" });
        return withStatus(async () => {
          const work = (): Promise<void> => (us > 0 ? context.work(us) : Promise.resolve());
          const branchId = await participant.reserve(xid, { item, amount }, work);
          return { instance: context.node, branchId };
        });
      },
    };
  }
}

/** How it takes part in transactions: what a mode does of a reservation. */
interface Participant {
  register(): Promise<void>;
  /** Answers the branch's id; `work` is what it does meanwhile. */
  reserve(xid: string, reservation: Reservation, work: () => Promise<void>): Promise<string>;
  close(): Promise<void>;
}

/** What a transaction refuses, as a call's status: ABORTED when it is over, UNAVAILABLE when its coordinator can't be asked. */
export async function withStatus<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TransactionError)) throw error;
    const isAway = error.code === "ConnectionLost" || error.code === "RequestTimeout" || error.code === "Closed";
    const { message, hint } = error;
    throw new RpcError(`[${error.code}] ${message}`, { code: isAway ? "UNAVAILABLE" : "ABORTED", hint, cause: error });
  }
}
