import type { Call } from "../../runtime/call/call.ts";
import type { Handlers, Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { Coordinator } from "../../runtime/ports/coordinator.ts";
import { inGlobalTransaction } from "../../runtime/transactions/global.ts";
import { ConfigReader } from "../config.ts";
import { parseCalls, type CallsConfig } from "../connections.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Reservations } from "../proto/bank_pb.ts";
import { Worker } from "../proto/worker_pb.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "../service.ts";
import { openCoordinator } from "../transactions.ts";
import { bankModes, type BankMode } from "./mode.ts";
import { withStatus } from "./reservations.ts";

export interface OrderConfig extends OfferConfig {
  /** How account and stock take part in its transactions. Default "tcc". */
  readonly mode: BankMode;
  /** The coordinator: "host:port", or "seata://127.0.0.1:8091". */
  readonly coordinator: string;
  /** How it calls the services whose parts of an order are tried one after the other. Reserving twice is two reservations: `retries` is 0. */
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
      account: callsOf(reader, "account"),
      stock: callsOf(reader, "stock"),
      timeoutMs: reader.number("timeoutMs", { ...count, max: 86_400_000 }, 60_000),
      items: reader.number("items", { ...count, max: 100_000 }, 100),
      price: reader.number("price", { ...count, max: 1_000_000 }, 10),
      abortRate: reader.number("abortRate", { min: 0, max: 1 }, 0),
    };
    reader.end();
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

function callsOf(reader: ConfigReader, key: string): CallsConfig {
  const calls = reader.object(key);
  if (calls === undefined) throw new ConfigError(`${key} is missing`, `say how it is called: {"service": "${key}"}`);
  return { ...parseCalls(calls), retries: 0 };
}

class RunningOrder implements RunningService {
  readonly #context: NodeContext;
  readonly #config: OrderConfig;
  readonly #offer: Offer;
  #coordinator: Coordinator | undefined;
  #account: Stub<typeof Reservations> | undefined;
  #stock: Stub<typeof Reservations> | undefined;

  constructor(context: NodeContext, config: OrderConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
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
    await this.#offer.register(Worker.typeName);
  }

  /** Asks the coordinator how these transactions stand. */
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
  }

  async drain(): Promise<void> {
    await this.#offer.drain();
    await this.#coordinator?.close();
  }

  async stop(): Promise<void> {
    await this.#offer.stop();
    await this.#coordinator?.close();
  }

  #handlers(): Handlers<typeof Worker> {
    const { node, clock, telemetry, random } = this.#context;
    const { timeoutMs, items, price, abortRate } = this.#config;
    const goods = random.fork("goods");
    const aborts = random.fork("aborts");
    return {
      do: async ({ key, payload }, call) => {
        const user = `u${murmur3(key, 0) % items}`;
        const good = `u${goods.below(items)}`;
        const isAborted = abortRate > 0 && aborts.float() < abortRate;
        const coordinator = this.#coordinator;
        if (coordinator === undefined) throw new RpcError(`${node} isn't ready`, { code: "UNAVAILABLE" });
        const options = { clock, telemetry, coordinator, name: "buy", timeoutMs, metadata: call.metadata };
        await withStatus(() =>
          inGlobalTransaction(options, async (metadata) => {
            stillWanted(call);
            await this.#account!.reserve({ item: user, amount: price }, { parent: call, metadata });
            await this.#stock!.reserve({ item: good, amount: 1 }, { parent: call, metadata });
            if (isAborted) throw new RpcError(`${node} gives this order up`, { code: "ABORTED" });
            stillWanted(call);
          }),
        );
        return { instance: node, payload };
      },
      stream: () => {
        throw new RpcError("an order has no parts", { code: "UNIMPLEMENTED" });
      },
    };
  }
}

/** Nobody waits any more: what was tried is given back. */
function stillWanted(call: Call): void {
  if (call.reason !== undefined) throw call.reason;
}
