import { RpcError, type Reach } from "../call/status.ts";

/** The error of a call whose connection can't be made, or has gone. */
export const unavailable = (
  message: string,
  { cause, reach }: { readonly cause?: unknown; readonly reach?: Reach } = {},
): RpcError =>
  new RpcError(message, {
    code: "UNAVAILABLE",
    hint: "is a node listening there, and is the network between healthy?",
    reach,
    ...(cause !== undefined && { cause }),
  });
