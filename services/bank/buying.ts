import type { Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { saga, type Saga, type StepCall } from "../../runtime/transactions/saga/definition.ts";
import type { Reservations } from "../proto/bank_pb.ts";

/** What an order's saga is about. */
export interface Purchase {
  readonly [key: string]: string | number | boolean;
  /** Whose account. */
  readonly user: string;
  readonly price: number;
  readonly good: string;
  /** It is given up when everything is paid and taken. */
  readonly isAborted: boolean;
}

type Holder = Stub<typeof Reservations>;

/** Pays, takes the piece, and accepts: each is there for everybody to see as soon as it is done. */
export function buying({
  account,
  stock,
  isLooking = false,
}: {
  readonly account: Holder;
  readonly stock: Holder;
  /** It looks at the account before it pays: there is nothing to take back of that. */
  readonly isLooking?: boolean;
}): Saga<Purchase, object> {
  const look = async ({ input, metadata }: StepCall<Purchase, object>): Promise<void> => {
    await account.look({ item: input.user, locking: false }, { metadata });
  };
  const begun: Saga<Purchase, object> = saga<Purchase>("buy");
  const looked: Saga<Purchase, object> = isLooking ? begun.step("look", { action: look }) : begun;
  return looked
    .step(
      "account",
      taking(account, ({ user, price }) => ({ item: user, amount: price })),
    )
    .step(
      "stock",
      taking(stock, ({ good }) => ({ item: good, amount: 1 })),
    )
    .step("accept", {
      action: ({ input }) => {
        if (input.isAborted) return Promise.reject(new RpcError("the order is given up", { code: "ABORTED" }));
        return Promise.resolve();
      },
      outcomeOf: () => "FA",
    });
}

/** A step that outlives the call which wanted it, and so has only its own deadline. */
function taking(holder: Holder, of: (purchase: Purchase) => { readonly item: string; readonly amount: number }) {
  return {
    action: async ({ input, stepId, metadata }: StepCall<Purchase, object>): Promise<void> => {
      await holder.take({ ...of(input), stepId }, { metadata });
    },
    compensation: async ({ input, stepId, metadata }: StepCall<Purchase, object>): Promise<void> => {
      await holder.giveBack({ ...of(input), stepId }, { metadata });
    },
  };
}
