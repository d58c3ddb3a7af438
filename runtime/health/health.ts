import { whileWaiting, type Call } from "../call/call.ts";
import type { Handlers } from "../call/service.ts";
import { RpcError } from "../call/status.ts";
import {
  HealthCheckResponse_ServingStatus as statuses,
  type HealthCheckResponse_ServingStatus as StatusNumber,
  type Health as HealthService,
} from "./proto/health_pb.ts";

type ServingStatus = keyof typeof statuses;

/**
 * What a server says of its health, by gRPC's protocol (grpc.health.v1): the whole server is the service "", others by name. It
 * begins as NOT_SERVING. After `shutdown` it says NOT_SERVING whatever is set, as grpc-go does.
 */
export class Health {
  readonly #statuses = new Map<string, ServingStatus>([["", "NOT_SERVING"]]);
  readonly #watchers = new Set<() => void>();
  #isShutDown = false;
  #isClosed = false;

  /** Says of each of these services, and of the whole server, whether it serves. */
  set(isServing: boolean, services: readonly string[] = []): void {
    if (this.#isShutDown) return;
    for (const service of ["", ...services]) this.#statuses.set(service, isServing ? "SERVING" : "NOT_SERVING");
    this.#changed();
  }

  /** NOT_SERVING from now on: whoever watches stops sending. */
  shutdown(): void {
    if (this.#isShutDown) return;
    this.set(false, [...this.#statuses.keys()]);
    this.#isShutDown = true;
  }

  /** Ends every watch: a stream that has no end of its own would hold up a server that waits for its calls. */
  close(): void {
    this.#isClosed = true;
    this.#changed();
  }

  readonly handlers: Handlers<typeof HealthService> = {
    check: async ({ service }) => {
      const status = this.#statuses.get(service);
      if (status === undefined) throw new RpcError(`there is no service "${service}"`, { code: "NOT_FOUND" });
      return { status: statuses[status] };
    },
    watch: ({ service }, call) => this.#watch(service, call),
  };

  async *#watch(service: string, call: Call): AsyncGenerator<{ status: StatusNumber }> {
    let told: ServingStatus | undefined;
    while (!this.#isClosed && !call.isCancelled) {
      const status = this.#statuses.get(service) ?? "SERVICE_UNKNOWN";
      // What changed while the reader was busy is seen here.
      if (status === told) await this.#change(call);
      else yield { status: statuses[(told = status)] };
    }
  }

  async #change(call: Call): Promise<void> {
    let wake = (): void => undefined;
    const change = new Promise<void>((resolve) => this.#watchers.add((wake = resolve)));
    await whileWaiting(call, change).finally(() => this.#watchers.delete(wake));
  }

  #changed(): void {
    for (const wake of [...this.#watchers]) wake();
  }
}
