import { RpcError } from "../call/status.ts";

/** Throws an `RpcError` INVALID_ARGUMENT for an address that other machines can reach. `host` is its first part. */
export function requireLoopback(address: string, host: string): void {
  if (/^127\.\d+\.\d+\.\d+$/.test(host) || host === "[::1]" || host === "localhost") return;
  throw new RpcError(`${address} can be reached from other machines`, {
    code: "INVALID_ARGUMENT",
    hint: "listen at 127.0.0.1 or [::1]; in a container, --expose allows it",
  });
}
