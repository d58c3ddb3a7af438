import type { Handlers } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Coordinator } from "../../runtime/ports/coordinator.ts";
import type { DataSource } from "../../runtime/ports/data-source.ts";
import { TransactionError } from "../../runtime/transactions/error.ts";
import { fenceTable } from "../../runtime/transactions/tcc/fence.ts";
import { TccResource } from "../../runtime/transactions/tcc/tcc.ts";
import { xidOf } from "../../runtime/transactions/xid.ts";
import { ConfigReader } from "../config.ts";
import { sample, type Distribution } from "../distribution.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Reservations } from "../proto/bank_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { openCoordinator, openDataSource } from "../transactions.ts";
import { holdingsOf, reserving, seedHoldings, tellingOf, type Holding, type Reservation } from "./holdings.ts";

export interface ReservationsConfig extends OfferConfig {
  /** The coordinator: "host:port", or "seata://127.0.0.1:8091". */
  readonly coordinator: string;
  /** "postgres://…". Default: rows on the node's own disk, so that a service has one instance. */
  readonly database: string | undefined;
  /** Accounts, or goods. Default 100. */
  readonly items: number;
  /** How much there is of each at first. Default 1 000 000. */
  readonly initial: number;
  /** Time between a branch's registration and its try. Default: none. */
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
  #resource: TccResource<Reservation> | undefined;

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
    const { clock, telemetry } = this.#context;
    const { service, coordinator, database, application } = this.#config;
    const table = holdingsOf(service);
    const name = `${service}.reserve`;
    const opened = await openDataSource(this.#context, database, [table, fenceTable]);
    const dataSource = tellingOf(opened, table, (row) => {
      const { item, free, frozen, used } = row as Holding;
      const holding = { what: "holding", xid: "", resource: name, item, free, frozen, used } as const;
      telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...holding });
    });
    this.#dataSource = dataSource;
    await seedHoldings(dataSource, table, this.#config);
    await this.#offer.connect();
    this.#coordinator = await openCoordinator(this.#context, coordinator, application);
    const action = reserving(name, table);
    this.#resource = new TccResource({ clock, coordinator: this.#coordinator, dataSource, action });
    // A coordinator that is away is tried on; nobody can use this service until it is there.
    await this.#resource.register().catch(() => undefined);
    await this.#offer.register(Reservations.typeName);
  }

  async drain(): Promise<void> {
    await this.#offer.drain();
    await this.#close();
  }

  async stop(): Promise<void> {
    await this.#offer.stop();
    await this.#close();
  }

  async #close(): Promise<void> {
    await this.#coordinator?.close();
    await this.#dataSource?.close();
  }

  #handlers(): Handlers<typeof Reservations> {
    const context = this.#context;
    const times = context.random.fork("service time");
    return {
      reserve: async ({ item, amount }, call) => {
        const us = sample(this.#config.serviceTime, times);
        const resource = this.#resource;
        if (resource === undefined) throw new RpcError(`${context.node} isn't ready`, { code: "UNAVAILABLE" });
        const xid = xidOf(call.metadata);
        if (xid === undefined) {
          throw new RpcError("nothing is reserved outside of a transaction", {
            code: "FAILED_PRECONDITION",
            hint: "send tx_xid with the call",
          });
        }
        if (amount === 0) throw new RpcError("an amount of 0", { code: "INVALID_ARGUMENT" });
        return withStatus(async () => {
          const branchId = await resource.begin(xid, { item, amount });
          if (us > 0) await context.work(us);
          await resource.try({ xid, branchId }, { item, amount });
          return { instance: context.node, branchId };
        });
      },
    };
  }
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
