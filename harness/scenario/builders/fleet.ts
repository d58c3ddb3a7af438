import { callKeys } from "../schema.ts";
import type {
  CallsSpec,
  ConsumerSpec,
  ForeignSpec,
  GatewaySpec,
  OrderSpec,
  ProviderSpec,
  ReservingSpec,
} from "../schema.ts";

/** A callee by name, its settings beside it; or both in one object. */
type CallsInput = Omit<CallsSpec, "service"> & { readonly calls: string | CallsSpec };

type ProviderInput = Omit<ProviderSpec, "program" | "calls"> &
  (CallsInput | { readonly [Key in keyof CallsInput]?: undefined });

type ConsumerInput = Omit<ConsumerSpec, "program" | "calls"> & CallsInput;

/** Instances that answer calls, and may call another service for each. Default: one instance. */
export function provider(input: ProviderInput = {}): ProviderSpec {
  const { calls, rest } = splitCalls(input);
  return { program: "provider", ...rest, ...(calls && { calls }) };
}

/** Instances that make the calls of the load. */
export function consumer(input: ConsumerInput): ConsumerSpec {
  const { calls, rest } = splitCalls(input);
  return { program: "consumer", ...rest, calls: calls! };
}

type ForeignInput = Omit<ForeignSpec, "program" | "calls"> & { readonly calls?: string | ForeignSpec["calls"] };

/** A service that Flyball didn't write, by image or by command. Default: one instance. */
export function foreign({ calls, ...rest }: ForeignInput): ForeignSpec {
  return {
    program: "foreign",
    ...rest,
    ...(calls !== undefined && { calls: typeof calls === "string" ? { service: calls } : calls }),
  };
}

type Reserving = Omit<ReservingSpec, "program">;
type ReservingCalls = Omit<OrderSpec["account"], "service">;

/** A bank, as it is called for by those who spread it into a fleet. */
interface BankInput extends Omit<OrderSpec, "program" | "account" | "stock"> {
  /** How order calls account and stock. */
  readonly reserve?: ReservingCalls;
  readonly account?: Reserving;
  readonly stock?: Reserving;
}

/**
 * The bank, to be spread into a fleet: `fleet: { buyer: consumer({ calls: "order" }), ...bank({ mode: "tcc" }) }`. Each call of `order` is
 * a global transaction over `account` and `stock`; the transaction coordinator comes with it.
 */
export function bank({ reserve = {}, account = {}, stock = {}, ...rest }: BankInput = {}): {
  readonly order: OrderSpec;
  readonly account: ReservingSpec;
  readonly stock: ReservingSpec;
} {
  return {
    order: {
      program: "order",
      ...rest,
      account: { service: "account", ...reserve },
      stock: { service: "stock", ...reserve },
    },
    account: { program: "account", ...account },
    stock: { program: "stock", ...stock },
  };
}

/** A consumer that also answers HTTP (`POST /do`): with `--load k6` every consumer is one. In `sim` nobody asks it. */
export function gateway(input: ConsumerInput): GatewaySpec {
  return { ...consumer(input), program: "gateway" };
}

/** `{ calls: "orders", retries: 2 }` says the same as `{ calls: { service: "orders", retries: 2 } }`. */
function splitCalls<
  Input extends { readonly calls?: string | CallsSpec | undefined } & Omit<Partial<CallsSpec>, "service">,
>(input: Input) {
  const { calls, ...others } = input;
  if (calls === undefined) return { calls, rest: others as Omit<Input, keyof CallsInput> };
  const isSetting = ([key]: [string, unknown]): boolean => (callKeys as readonly string[]).includes(key);
  const entries = Object.entries(others).filter(([, value]) => value !== undefined);
  const given = Object.fromEntries(entries.filter(isSetting)) as Partial<CallsSpec>;
  const rest = Object.fromEntries(entries.filter((entry) => !isSetting(entry))) as Omit<Input, keyof CallsInput>;
  return { calls: { ...(typeof calls === "string" ? { service: calls } : calls), ...given }, rest };
}
