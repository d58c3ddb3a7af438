import { RpcError, type Reach } from "../../../../runtime/call/status.ts";

export function unavailable(message: string, reach?: Reach): RpcError {
  return new RpcError(message, { code: "UNAVAILABLE", reach });
}
