import type { Call } from "../../runtime/call/call.ts";
import type { Metadata } from "../../runtime/call/metadata.ts";
import type { Handlers, Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { Coordinator } from "../../runtime/ports/coordinator.ts";
import type { DataSource } from "../../runtime/ports/data-source.ts";
import type { Random } from "../../runtime/ports/random.ts";
import { inGlobalTransaction } from "../../runtime/transactions/global.ts";
import type { Saga } from "../../runtime/transactions/saga/definition.ts";
import { Cleaner } from "../../runtime/transactions/cleaner.ts";
import { oldSagas, sagaTable } from "../../runtime/transactions/saga/log.ts";
import { Sagas } from "../../runtime/transactions/saga/saga.ts";
import { ConfigReader, schemeOf } from "../config.ts";
import { parseCalls, type CallsConfig } from "../connections.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Reservations } from "../proto/bank_pb.ts";
import { Worker } from "../proto/worker_pb.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "../service.ts";
import { openCoordinator, openDataSource } from "../transactions.ts";
import { buying, type Purchase } from "./buying.ts";
import { bankModes, type BankMode } from "./mode.ts";
import { withStatus } from "./reservations.ts";

export interface OrderConfig extends OfferConfig {
  /** How account and stock take part in its transactions. Default "tcc". */
  readonly mode: BankMode;
  /** The coordinator: "host:port", or "seata://127.0.0.1:8091". */
  readonly coordinator: string;
  /** Where its sagas' state is: "postgres://…". Default: on the node's own disk. */
  readonly database: string | undefined;
  /**
   * How it calls the services whose parts of an order are tried one after the other. Reserving twice is two reservations: `retries` is 0.
   */
  readonly account: CallsConfig;
  readonly stock: CallsConfig;
  /** After so long the coordinator rolls an order back. Default 60 000, as Seata's. */
  readonly timeoutMs: number;
  /** Accounts, and goods, as the others have them. Default 100. */
  readonly items: number;
  /** What one piece costs. Default 10. */
  readonly price: number;
  /** Share of the orders that are given up when everything is reserved: rollbacks without a fault. Default 0. */
  readonly abortRate: number;
  /** In modes "at" and "saga" (there plainly): before it buys, an order looks at what there is. Default: it doesn't. */
  readonly looks: LooksConfig | undefined;
  /** In mode "at": so many payments make the price, the first before the piece is taken, the others after it. Default 1. */
  readonly instalments: number;
}

export interface LooksConfig {
  /** Share of the orders that look by `SELECT … FOR UPDATE`. The others read plainly. Default none. */
  readonly lockingRate: number;
  /**
   * Accounts are partners two by two (u0 and u1, …): whether it also looks at its partner's, before it buys and once it has. Default false.
   */
  readonly partner: boolean;
}

/** The bank's `order`: each call is a global transaction that takes one piece out of stock and its price from an account. */
export const order: ServiceProgram<OrderConfig> = {
  name: "order",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const count = { min: 1, isInteger: true };
    const config: OrderConfig = {
      ...parseOffer(reader, reader.text("service", "order")),
      mode: reader.choice("mode", bankModes) ?? "tcc",
      coordinator: reader.requiredInfrastructure("coordinator"),
      database: reader.infrastructure("database"),
      account: callsOf(reader, "account"),
      stock: callsOf(reader, "stock"),
      timeoutMs: reader.number("timeoutMs", { ...count, max: 86_400_000 }, 60_000),
      items: reader.number("items", { ...count, max: 100_000 }, 100),
      price: reader.number("price", { ...count, max: 1_000_000 }, 10),
      abortRate: reader.number("abortRate", { min: 0, max: 1 }, 0),
      looks: looksOf(reader),
      instalments: reader.number("instalments", { ...count, max: 100 }, 1),
    };
    reader.end();
    if (config.looks !== undefined && config.mode === "tcc") {
      throw new ConfigError('no order looks in mode "tcc"', 'leave looks out, or set {"mode": "at"}');
    }
    if (
      config.looks !== undefined &&
      config.mode === "saga" &&
      (config.looks.lockingRate > 0 || config.looks.partner)
    ) {
      throw new ConfigError('an order looks plainly in mode "saga", and at its own account', 'set {"looks": {}}');
    }
    if (config.instalments > 1 && config.mode !== "at") {
      throw new ConfigError(
        `there are no instalments in mode "${config.mode}"`,
        'leave them out, or set {"mode": "at"}',
      );
    }
    if (config.instalments > config.price) {
      throw new ConfigError(`a price of ${config.price} can't be paid in ${config.instalments} parts`, "raise price");
    }
    return config;
  },

  start: async (context, config) => {
    const running = new RunningOrder(context, config);
    await running.listen();
    return running;
  },
};

/** A coordinator has others to answer, too. */
const auditedAtOnce = 32;

function looksOf(reader: ConfigReader): LooksConfig | undefined {
  const own = reader.object("looks");
  if (own === undefined) return undefined;
  const lockingRate = own.number("lockingRate", { min: 0, max: 1 }, 0);
  const partner = own.boolean("partner") ?? false;
  own.end();
  return { lockingRate, partner };
}

function callsOf(reader: ConfigReader, key: string): CallsConfig {
  const calls = reader.object(key);
  if (calls === undefined) throw new ConfigError(`${key} is missing`, `say how it is called: {"service": "${key}"}`);
  return { ...parseCalls(calls), retries: 0 };
}

class RunningOrder implements RunningService {
  readonly #context: NodeContext;
  readonly #config: OrderConfig;
  readonly #offer: Offer;
  readonly #keys: Random;
  readonly #looks: Random;
  #coordinator: Coordinator | undefined;
  #account: Stub<typeof Reservations> | undefined;
  #stock: Stub<typeof Reservations> | undefined;
  /** In mode "saga". */
  #dataSource: DataSource | undefined;
  #cleaner: Cleaner | undefined;
  #sagas: { readonly engine: Sagas; readonly buy: Saga<Purchase, object> } | undefined;

  constructor(context: NodeContext, config: OrderConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
    this.#keys = context.random.fork("keys");
    this.#looks = context.random.fork("looks");
  }

  get address(): string | undefined {
    return this.#offer.address;
  }

  listen(): Promise<void> {
    return this.#offer.listen((server) => server.add(Worker, this.#handlers()));
  }

  async go(): Promise<void> {
    const { account, stock, coordinator, application } = this.#config;
    const { client } = await this.#offer.connect();
    this.#coordinator = await openCoordinator(this.#context, coordinator, application);
    this.#account = client.service(account.service, Reservations, account);
    this.#stock = client.service(stock.service, Reservations, stock);
    await this.#offer.awaitCallees(account.service, stock.service);
    if (this.#config.mode === "saga") await this.#openSagas(this.#account, this.#stock);
    await this.#offer.register(Worker.typeName);
  }

  async #openSagas(account: Stub<typeof Reservations>, stock: Stub<typeof Reservations>): Promise<void> {
    const { clock, telemetry, node } = this.#context;
    const { database } = this.#config;
    this.#dataSource = await openDataSource(this.#context, database, [sagaTable]);
    const coordinator = this.#coordinator!;
    this.#cleaner = new Cleaner({ clock, dataSource: this.#dataSource, coordinator, remains: [oldSagas] });
    const buy = buying({ account, stock, isLooking: this.#config.looks !== undefined });
    const engine = new Sagas({
      ...{ clock, telemetry, coordinator, dataSource: this.#dataSource },
      ...{ resourceId: this.#resourceId, owner: node, sagas: [buy] },
    });
    this.#sagas = { engine, buy };
    // A coordinator that is away is tried on.
    await engine.register().catch(() => undefined);
  }

  /** Seata knows sagas by application and group; what is on a node's own disk, only that node can go on with. */
  get #resourceId(): string {
    const { application, coordinator, database } = this.#config;
    const isShared = database !== undefined || schemeOf(coordinator) !== undefined;
    return `${isShared ? application : this.#context.node}#default_tx_group`;
  }

  /** Asks the coordinator how these transactions stand, and tells which sagas aren't over. */
  async audit(xids: readonly string[]): Promise<void> {
    const { clock, telemetry } = this.#context;
    const coordinator = this.#coordinator;
    if (coordinator === undefined) return;
    for (let index = 0; index < xids.length; index += auditedAtOnce) {
      const asked = xids.slice(index, index + auditedAtOnce).map(async (xid) => {
        const status = await coordinator.status(xid);
        telemetry.emit({ type: "transaction", atUs: clock.nowUs(), what: "found", xid, status });
      });
      await Promise.all(asked);
    }
    if (this.#sagas === undefined) return;
    const sagas = await this.#sagas.engine.unfinished();
    const left = sagas.map(({ xid, branchId }) => ({ kind: "branch" as const, xid, branchId }));
    const audit = { what: "audit", xid: "", resource: this.#resourceId, holdings: [], left } as const;
    telemetry.emit({ type: "transaction", atUs: clock.nowUs(), ...audit });
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
    this.#cleaner?.close();
    await this.#coordinator?.close();
    await this.#dataSource?.close();
  }

  #handlers(): Handlers<typeof Worker> {
    const { node, random } = this.#context;
    const { mode, items, price, abortRate } = this.#config;
    const goods = random.fork("goods");
    const aborts = random.fork("aborts");
    return {
      do: async ({ key, payload }, call) => {
        const user = `u${murmur3(key, 0) % items}`;
        const good = `u${goods.below(items)}`;
        const isAborted = abortRate > 0 && aborts.float() < abortRate;
        const purchase = { user, price, good, isAborted };
        await withStatus(() => (mode === "saga" ? this.#bySaga(purchase, call) : this.#byTcc(purchase, call)));
        return { instance: node, payload };
      },
      stream: () => {
        throw new RpcError("an order has no parts", { code: "UNIMPLEMENTED" });
      },
    };
  }

  #byTcc({ user, price, good, isAborted }: Purchase, call: Call): Promise<void> {
    const { node, clock, telemetry } = this.#context;
    const { timeoutMs, instalments } = this.#config;
    const coordinator = this.#coordinator;
    if (coordinator === undefined) throw notReady(node);
    const options = { clock, telemetry, coordinator, name: "buy", timeoutMs, metadata: call.metadata };
    return inGlobalTransaction(options, async (metadata) => {
      stillWanted(call);
      const within = { parent: call, metadata };
      const lookAgain = await this.#look({ user, good }, within);
      // What the network doubles is one reservation all the same.
      const key = `${node} ${this.#keys.uint32()} ${this.#keys.uint32()}`;
      const [first, ...others] = partsOf(price, instalments);
      await this.#account!.reserve({ item: user, amount: first!, key }, within);
      await this.#stock!.reserve({ item: good, amount: 1, key }, within);
      for (const [index, amount] of others.entries())
        await this.#account!.reserve({ item: user, amount, key: `${key} ${index}` }, within);
      await lookAgain();
      if (isAborted) throw new RpcError(`${node} gives this order up`, { code: "ABORTED" });
      stillWanted(call);
    });
  }

  /** At accounts and at the good, all in the same way. Answers how it looks once more at what isn't its own. */
  async #look(
    { user, good }: Pick<Purchase, "user" | "good">,
    options: { readonly parent: Call; readonly metadata: Metadata },
  ): Promise<() => Promise<void>> {
    const { looks, items } = this.#config;
    if (looks === undefined) return () => Promise.resolve();
    const locking = this.#looks.float() < looks.lockingRate;
    const partner = looks.partner ? partnerOf(user, items) : undefined;
    const atPartner = async (): Promise<void> => {
      if (partner !== undefined) await this.#account!.look({ item: partner, locking }, options);
    };
    await this.#account!.look({ item: user, locking }, options);
    await atPartner();
    await this.#stock!.look({ item: good, locking }, options);
    return atPartner;
  }

  async #bySaga(purchase: Purchase, call: Call): Promise<void> {
    if (this.#sagas === undefined) throw notReady(this.#context.node);
    stillWanted(call);
    const { engine, buy } = this.#sagas;
    await engine.run(buy, purchase, { timeoutMs: this.#config.timeoutMs, metadata: call.metadata });
  }
}

/** "u0" and "u1" are partners, "u2" and "u3", and so on; the last of an odd number has none. */
function partnerOf(user: string, items: number): string | undefined {
  const partner = Number(user.slice(1)) ^ 1;
  return partner < items ? `u${partner}` : undefined;
}

/** Whole amounts that make the price, the larger ones first. */
const partsOf = (price: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => Math.floor(price / count) + (index < price % count ? 1 : 0));

const notReady = (node: string): RpcError => new RpcError(`${node} isn't ready`, { code: "UNAVAILABLE" });

/** Nobody waits any more: what was tried is given back. */
function stillWanted(call: Call): void {
  if (call.reason !== undefined) throw call.reason;
}
