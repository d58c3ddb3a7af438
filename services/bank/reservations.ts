import type { Call } from "../../runtime/call/call.ts";
import type { Handlers } from "../../runtime/call/service.ts";
import { RpcError, type RpcCode } from "../../runtime/call/status.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { Coordinator } from "../../runtime/ports/coordinator.ts";
import { DataSourceError, type DataSource } from "../../runtime/ports/data-source.ts";
import type { Leftover, OutsideWriter } from "../../runtime/telemetry/events.ts";
import type { Change } from "../../runtime/transactions/observed.ts";
import { TransactionError, type TransactionCode } from "../../runtime/transactions/error.ts";
import { Cleaner, type Remains } from "../../runtime/transactions/cleaner.ts";
import { fenceStatus, fenceTable, oldFences } from "../../runtime/transactions/tcc/fence.ts";
import { oldUndoFences, undoTable } from "../../runtime/transactions/at/undo-log.ts";
import { compensateOnce, doOnce, oldStepFences, type OnSagaStep } from "../../runtime/transactions/saga/participant.ts";
import { TccResource, type TccStep } from "../../runtime/transactions/tcc/tcc.ts";
import { xidOf } from "../../runtime/transactions/xid.ts";
import { ConfigReader } from "../config.ts";
import { sample, type Distribution } from "../distribution.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Reservations } from "../proto/bank_pb.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "../service.ts";
import { openCoordinator, openDataSource } from "../transactions.ts";
import { Clerk, parseClerk, type ClerkConfig } from "./clerk.ts";
import { AtReservations, lateCommits, oldRequests, requestTable, resourceOf, undoLeft } from "./at.ts";
import { holdTable, oldHolds, parseOutside, reservingOutside, type OutsideConfig } from "./outside.ts";
import { bankModes, type BankMode } from "./mode.ts";
import { Doubts, type Teller } from "./telling.ts";
import {
  giveBack,
  holdingsOf,
  readHolding,
  reserving,
  rowKeys,
  seedHoldings,
  take,
  versionsOf,
  type Holding,
  type Holdings,
  type ReservationRequest,
  type RowKeys,
} from "./holdings.ts";

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
  /** In mode "tcc": what it sets aside is outside, and no fence guards it. Default: it is in its own database. */
  readonly outside: OutsideConfig | undefined;
  /** In mode "at": what the primary key of a row is. Default "name". */
  readonly keys: RowKeys;
  /**
   * Time between a branch's registration and its try; in AT, before its local transaction; of a saga's step, and of its compensation.
   * Default: none.
   */
  readonly serviceTime: Distribution;
  /** In mode "at": time between a branch's registration and the commit of its local transaction. Default: none. */
  readonly commitTime: Distribution;
  /** In mode "saga": the share of what was taken that can't be given back, as if it had been shipped. Default none. */
  readonly keptRate: number;
  /**
   * In mode "at": a branch reads what there is, works, and writes what it has counted, this share of them by `SELECT … FOR UPDATE`.
   * Default: it locks and writes at once.
   */
  readonly counts: { readonly lockingRate: number } | undefined;
  /** In mode "at": a job that writes into rows outside of every global transaction. Default: there is none. */
  readonly clerk: ClerkConfig | undefined;
}

function countsOf(reader: ConfigReader): ReservationsConfig["counts"] {
  const own = reader.object("counts");
  if (own === undefined) return undefined;
  const lockingRate = own.number("lockingRate", { min: 0, max: 1 }, 0);
  own.end();
  return { lockingRate };
}

const none: Distribution = { kind: "constant", us: 0 };

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
        outside: parseOutside(reader),
        keys: reader.choice("keys", rowKeys) ?? "name",
        serviceTime: reader.distribution("serviceTime", none),
        commitTime: reader.distribution("commitTime", none),
        keptRate: reader.number("keptRate", { min: 0, max: 1 }, 0),
        counts: countsOf(reader),
        clerk: parseClerk(reader),
      };
      reader.end();
      if (config.outside !== undefined && config.mode !== "tcc") {
        throw new ConfigError(
          `nothing is outside in mode "${config.mode}"`,
          'leave outside out, or set {"mode": "tcc"}',
        );
      }
      if (config.keys !== "name" && config.mode !== "at") {
        throw new ConfigError(`rows have names in mode "${config.mode}"`, 'leave keys out, or set {"mode": "at"}');
      }
      if (config.counts !== undefined && config.mode !== "at") {
        throw new ConfigError(`nobody counts in mode "${config.mode}"`, 'leave counts out, or set {"mode": "at"}');
      }
      if (config.counts !== undefined && config.keys === "edition") {
        throw new ConfigError(
          "who counts first writes into a row, and not a new edition of it",
          "leave one of them out",
        );
      }
      if (config.commitTime !== none && config.mode !== "at") {
        throw new ConfigError(`there is no commitTime in mode "${config.mode}"`, 'leave it out, or set {"mode": "at"}');
      }
      if (config.clerk !== undefined && config.mode !== "at") {
        throw new ConfigError(`there is no clerk in mode "${config.mode}"`, 'leave clerk out, or set {"mode": "at"}');
      }
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
  readonly #holdings: Holdings;
  readonly #doubts: Doubts;
  /** Opened when it is first needed. */
  #coordinator: Promise<Coordinator> | undefined;
  #dataSource: DataSource | undefined;
  /** Its `dataSource`, which tells of changes; there once it is ready. */
  #telling: DataSource | undefined;
  /** In the modes that have branches here. */
  #participant: Participant | undefined;
  #clerk: Clerk | undefined;
  #cleaner: Cleaner | undefined;

  constructor(context: NodeContext, config: ReservationsConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
    this.#holdings = { table: holdingsOf(config.service, config.keys), version: versionsOf(context.clock) };
    this.#doubts = new Doubts(this.#holdings, () => context.clock.nowUs());
  }

  get address(): string | undefined {
    return this.#offer.address;
  }

  listen(): Promise<void> {
    return this.#offer.listen((server) => server.add(Reservations, this.#handlers()));
  }

  async go(): Promise<void> {
    const { mode, database, outside } = this.#config;
    const { table } = this.#holdings;
    const opened = await openDataSource(this.#context, database, [
      table,
      ...(mode === "at" ? [undoTable, requestTable] : [fenceTable, ...(outside === undefined ? [] : [holdTable])]),
    ]);
    this.#dataSource = opened;
    await seedHoldings(opened, table, this.#config);
    await this.audit();
    const dataSource = this.#doubts.telling(opened, this.#teller({ onWrite: (item) => this.#clerk?.hear(item) }));
    this.#telling = dataSource;
    this.#cleaner = new Cleaner({
      ...{
        clock: this.#context.clock,
        dataSource: opened,
        remains: [...remainsOf[mode], ...(outside === undefined ? [] : [oldHolds])],
      },
      coordinator: { status: async (xid) => (await this.#coordinating()).status(xid) },
    });
    await this.#offer.connect();
    if (mode !== "saga") {
      const coordinator = await this.#coordinating();
      this.#participant = mode === "at" ? this.#byAt(dataSource, coordinator) : this.#byTcc(dataSource, coordinator);
      // A coordinator that is away is tried on; nobody can use this service until it is there.
      await this.#participant.register().catch(() => undefined);
    }
    await this.#offer.register(Reservations.typeName);
    if (this.#config.clerk !== undefined) {
      this.#clerk = this.#engage(this.#config.clerk, opened, await this.#coordinating());
    }
  }

  /** What is there, and which branches still wait for their second phase. Without `xids` nobody asked: it begins its life. */
  async audit(xids?: readonly string[]): Promise<void> {
    const resource = this.#resourceId;
    const dataSource = this.#dataSource;
    if (dataSource === undefined) return;
    await this.#doubts.settle(dataSource);
    const rows = (await dataSource.rows(this.#holdings.table)) as readonly Holding[];
    const holdings = rows.map(({ item, free, frozen, used, version }) => ({ item, free, frozen, used, version }));
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

  #coordinating(): Promise<Coordinator> {
    const { coordinator, application } = this.#config;
    return (this.#coordinator ??= openCoordinator(this.#context, coordinator, application));
  }

  #byTcc(dataSource: DataSource, coordinator: Coordinator): Participant {
    const { clock } = this.#context;
    const { outside } = this.#config;
    const nowMs = (): number => clock.wallMs();
    const action =
      outside === undefined
        ? reserving(this.#resourceId, this.#holdings)
        : reservingOutside(this.#resourceId, this.#holdings, { ...outside, outside: dataSource, nowMs });
    const onStep = (step: TccStep): void => this.#tell({ what: "step", resource: this.#resourceId, ...step });
    const resource = new TccResource({ clock, coordinator, dataSource, action, onStep });
    return {
      register: () => resource.register(),
      reserve: async (xid, { key, ...reservation }, work) => {
        const branchId = await resource.begin(xid, reservation, key);
        await work();
        await resource.try({ xid, branchId }, reservation);
        return branchId;
      },
      close: () => Promise.resolve(),
    };
  }

  #byAt(dataSource: DataSource, coordinator: Coordinator): Participant {
    const { commitTime, counts } = this.#config;
    const draws = this.#context.random.fork("counts");
    const times = this.#context.random.fork("commit time");
    const late = (): DataSource => lateCommits(dataSource, () => this.#context.work(sample(commitTime, times)));
    const resource = new AtReservations({
      ...this.#atOptions(coordinator),
      dataSource: commitTime === none ? dataSource : late(),
      holdings: this.#holdings,
      onStep: (step) => this.#tell({ what: "step", resource: this.#resourceId, ...step }),
    });
    return {
      register: () => resource.register(),
      reserve: async (xid, reservation, work) => {
        if (counts !== undefined) {
          const isLocking = draws.float() < counts.lockingRate;
          const saw = (seen: Holding): void => this.#tellLook(xid, seen, isLocking ? "kept" : "plain");
          return resource.reserve(xid, reservation, { isLocking, work, saw });
        }
        await work();
        return resource.reserve(xid, reservation);
      },
      look: async (xid, { item, isLocking }) => {
        const holding = await resource.look(xid, { item, isLocking });
        this.#tellLook(xid, holding, isLocking ? "locking" : "plain");
        return holding.free;
      },
      close: () => resource.close(),
    };
  }

  #tellLook(xid: string, { item, version }: Holding, how: "plain" | "locking" | "kept"): void {
    const kept = how === "kept" ? { isKept: true as const } : {};
    this.#tell({
      ...{ what: "look", xid, resource: this.#resourceId, item, version },
      ...{ isLocking: how !== "plain", ...kept },
    });
  }

  #atOptions(coordinator: Coordinator) {
    const { clock, telemetry, node } = this.#context;
    const resourceId = resourceOf(node, this.#config.database);
    return { clock, telemetry, coordinator, resourceId };
  }

  #engage(config: ClerkConfig, dataSource: DataSource, coordinator: Coordinator): Clerk {
    const telling = (outside: OutsideWriter): DataSource => this.#doubts.telling(dataSource, this.#teller({ outside }));
    return new Clerk(config, {
      ...this.#atOptions(coordinator),
      random: this.#context.random.fork("clerk"),
      holdings: this.#holdings,
      dataSources: { locking: telling("locking"), bypassing: telling("bypassing") },
    });
  }

  #teller(by: { readonly outside?: OutsideWriter; readonly onWrite?: (item: string) => void }): Teller {
    const resource = this.#resourceId;
    const outside = by.outside === undefined ? {} : { outside: by.outside };
    return {
      wrote: ({ item, free, frozen, used, version }, branch, atUs) => {
        this.#tell({ what: "holding", ...branch, resource, item, free, frozen, used, version, ...outside }, atUs);
        by.onWrite?.(item);
      },
      doubts: ({ item, version }, branch, state) =>
        this.#tell({ what: "doubt", ...branch, resource, item, version, state }),
    };
  }

  /** Branches that wait for their second phase, and undo logs that are still there. */
  async #left(dataSource: DataSource): Promise<readonly Leftover[]> {
    const { mode } = this.#config;
    // A saga's state is where the saga is.
    if (mode === "saga") return [];
    if (mode === "at") return undoLeft(dataSource);
    return (await dataSource.rows(fenceTable))
      .filter(({ status, action_name }) => status === fenceStatus.tried && action_name === this.#resourceId)
      .map(({ xid, branch_id }) => ({ kind: "branch", xid: String(xid), branchId: String(branch_id) }));
  }

  /** The resource's id. */
  get #resourceId(): string {
    const { service, mode } = this.#config;
    return `${service}.${mode === "saga" ? "take" : "reserve"}`;
  }

  #tell(change: Change, atUs = this.#context.clock.nowUs()): void {
    this.#context.telemetry.emit({ type: "transaction", atUs, ...change });
  }

  async #close(): Promise<void> {
    this.#cleaner?.close();
    await this.#clerk?.close();
    await this.#participant?.close();
    // One that couldn't be opened is none to close.
    await (await this.#coordinator?.catch(() => undefined))?.close();
    await this.#dataSource?.close();
  }

  #handlers(): Handlers<typeof Reservations> {
    const context = this.#context;
    const times = context.random.fork("service time");
    return {
      reserve: async ({ item, amount, key }, call) => {
        const us = sample(this.#config.serviceTime, times);
        const participant = this.#participant;
        if (participant === undefined) throw this.#unusable("reserving");
        const xid = transactionOf(call);
        if (amount === 0) throw new RpcError("an amount of 0", { code: "INVALID_ARGUMENT" });
        return withStatus(async () => {
          const work = (): Promise<void> => (us > 0 ? context.work(us) : Promise.resolve());
          const branchId = await participant.reserve(xid, { item, amount, ...(key !== "" && { key }) }, work);
          return { instance: context.node, branchId };
        });
      },
      look: async ({ item, locking }, call) => {
        if (this.#config.mode === "saga")
          return { instance: context.node, free: BigInt(await this.#lookPlainly(item, call)) };
        const participant = this.#participant;
        if (participant?.look === undefined) throw this.#unusable("looking");
        const xid = transactionOf(call);
        const free = await withStatus(() => participant.look!(xid, { item, isLocking: locking }));
        return { instance: context.node, free: BigInt(free) };
      },
      take: async (request, call) => {
        const us = sample(this.#config.serviceTime, times);
        const { item, amount } = request;
        if (amount === 0) throw new RpcError("an amount of 0", { code: "INVALID_ARGUMENT" });
        const { dataSource, step, onStep } = this.#step(request, call);
        if (us > 0) await context.work(us);
        return withStatus(async () => {
          await doOnce(dataSource, step, (local) => take(local, this.#holdings, { item, amount }), onStep);
          return { instance: context.node };
        });
      },
      giveBack: async (request, call) => {
        const { item, amount } = request;
        const { dataSource, step, onStep } = this.#step(request, call);
        // The same ones whenever they are asked for.
        if (murmur3(step.stepId, 0) / 0x1_0000_0000 < this.#config.keptRate) {
          throw new RpcError(`${item} can't be given back`, { code: "FAILED_PRECONDITION" });
        }
        const us = sample(this.#config.serviceTime, times);
        if (us > 0) await context.work(us);
        return withStatus(async () => {
          await compensateOnce(dataSource, step, (local) => giveBack(local, this.#holdings, { item, amount }), onStep);
          return { instance: context.node };
        });
      },
    };
  }

  /** Within a saga: what is there, as everybody sees it. */
  async #lookPlainly(item: string, call: Call): Promise<number> {
    const dataSource = this.#telling;
    if (dataSource === undefined) throw this.#unusable("looking");
    const xid = transactionOf(call);
    const { table } = this.#holdings;
    return withStatus(async () => {
      const holding = await dataSource.transaction((local) => readHolding({ dataSource, local }, table, item));
      this.#tellLook(xid, holding, "plain");
      return holding.free;
    });
  }

  #step({ stepId }: { readonly stepId: string }, call: Call) {
    const dataSource = this.#telling;
    if (dataSource === undefined || this.#config.mode !== "saga") throw this.#unusable("taking");
    const xid = transactionOf(call);
    if (stepId === "") throw new RpcError("a step without an id", { code: "INVALID_ARGUMENT" });
    const resource = this.#resourceId;
    const onStep: OnSagaStep = (told) => this.#tell({ what: "step", xid, branchId: stepId, resource, ...told });
    return { dataSource, step: { xid, stepId, action: resource, nowMs: this.#context.clock.wallMs() }, onStep };
  }

  #unusable(wanted: "reserving" | "looking" | "taking"): RpcError {
    const { node } = this.#context;
    const { mode } = this.#config;
    const isDone = { reserving: mode !== "saga", looking: mode !== "tcc", taking: mode === "saga" };
    if (isDone[wanted]) return new RpcError(`${node} isn't ready`, { code: "UNAVAILABLE" });
    return new RpcError(`${node} takes part by ${mode}, and there is no ${wanted} in it`, {
      code: "FAILED_PRECONDITION",
      hint: "give order, account and stock the same mode",
    });
  }
}

/** What transactions leave behind here that isn't needed for ever. */
const remainsOf: Readonly<Record<BankMode, readonly Remains[]>> = {
  tcc: [oldFences],
  at: [oldUndoFences, oldRequests],
  saga: [oldFences, oldStepFences],
};

function transactionOf(call: Call): string {
  const xid = xidOf(call.metadata);
  if (xid !== undefined) return xid;
  throw new RpcError("nothing is done outside of a transaction", {
    code: "FAILED_PRECONDITION",
    hint: "send tx_xid with the call",
  });
}

/** How it takes part in transactions: what a mode does of a reservation. */
interface Participant {
  register(): Promise<void>;
  /** Answers the branch's id; `work` is what it does meanwhile. */
  reserve(xid: string, request: ReservationRequest, work: () => Promise<void>): Promise<string>;
  /** In AT: answers what is free. */
  look?(xid: string, of: { readonly item: string; readonly isLocking: boolean }): Promise<number>;
  close(): Promise<void>;
}

/**
 * What a transaction or its database refuses, as a call's status: ABORTED when it is over or gave way to another, UNAVAILABLE when the
 * coordinator or the database can't be asked, UNKNOWN when nobody can tell whether it was committed.
 */
export async function withStatus<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TransactionError) {
      const { code, message, hint } = error;
      throw new RpcError(`[${code}] ${message}`, { code: statusOfTransaction[code] ?? "ABORTED", hint, cause: error });
    }
    if (error instanceof DataSourceError) {
      const code = statusOfDataSource[error.code];
      if (code !== undefined) throw new RpcError(`[${error.code}] ${error.message}`, { code, cause: error });
    }
    throw error;
  }
}

type Failure = Exclude<RpcCode, "OK">;

/** After these a transaction may go on, or have ended either way; after any other it is over, and ABORTED says so. */
const statusOfTransaction: Readonly<Partial<Record<TransactionCode, Failure>>> = {
  ConnectionLost: "UNAVAILABLE",
  RequestTimeout: "UNAVAILABLE",
  Closed: "UNAVAILABLE",
  OutcomeUnknown: "UNKNOWN",
  CommitHeuristic: "UNKNOWN",
};

const statusOfDataSource: Readonly<Partial<Record<DataSourceError["code"], Failure>>> = {
  UNAVAILABLE: "UNAVAILABLE",
  CLOSED: "UNAVAILABLE",
  DEADLOCK: "ABORTED",
};
