import type { Call } from "../runtime/call/call.ts";
import type { Stub } from "../runtime/call/service.ts";
import type { DoRequest, Worker as WorkerSchema } from "./proto/worker_pb.ts";
import type { NodeContext } from "./service.ts";

// What a service of somebody's own imports, as "flyball/service": docs/own-services.md.

export { RpcError, type RpcCode } from "../runtime/call/status.ts";
export type { Call };

/** What a service of one's own may touch. In `sim` that is all there is: no module of Node.js, no clock and no chance beside these. */
export interface OwnContext extends Pick<NodeContext, "node" | "clock" | "random" | "disk"> {
  /** Resolves after as much time as `us` of work takes on this node: longer while the fault `slow` lasts. */
  readonly work: (us: number) => Promise<void>;
  /**
   * The stub of a service that the scenario says this one `calls`, governed as it says there. Usable once calls come in; until then, and
   * for a service that isn't called, it throws an `RpcError`.
   */
  readonly callee: (service: string) => Stub<typeof WorkerSchema>;
}

/** What is told of one call. */
export interface OwnReply {
  /** Anything, as text. Default: empty. */
  readonly payload?: string;
}

/** A service that was started: one for each instance, and again for each of its lives. */
export interface StartedService {
  /**
   * Answers one call; rejects with an `RpcError` for the caller to see. `call` goes on into calls that are made for it: `{ parent: call }`.
   */
  do(request: Pick<DoRequest, "key" | "payload">, call: Call): Promise<OwnReply> | OwnReply;
  /** Lets go of what it holds; nothing is called any more. */
  stop?(): Promise<void> | void;
}

/** A service of one's own: a module's default export. */
export interface OwnService {
  /** `config` is what the scenario says in `own.config`; empty where it says nothing. */
  start(context: OwnContext, config: Readonly<Record<string, unknown>>): Promise<StartedService> | StartedService;
}

/** The service as it is, with its types: `export default service({ start: ({ work }) => ({ do: … }) })`. */
export const service = (own: OwnService): OwnService => own;
