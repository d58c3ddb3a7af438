import { create } from "@bufbuild/protobuf";

import { createBackoff } from "../call/backoff.ts";
import { Call } from "../call/call.ts";
import { methodsOf } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatusSchema,
  type HealthCheckResponse,
} from "../health/proto/health_pb.ts";
import type { Guard, GuardPorts } from "./guard.ts";

export interface HealthCheckSettings {
  /** The service to ask for. Default "": the server as a whole. */
  readonly service?: string | undefined;
}

const policy = "health";
const watchMethod = methodsOf(Health).get("watch")!;

/**
 * Client-side health checking (gRPC proposal A17): each instance is watched over its own connection, and one that doesn't say
 * SERVING is out of the choice. A server that doesn't know the protocol (UNIMPLEMENTED) counts as healthy for good; a watch that
 * breaks counts as unhealthy until it is made again, with backoff. Until an instance has said anything it may be called (there
 * a gRPC channel would wait), and where none is healthy all are used.
 */
export function healthGuard(settings: HealthCheckSettings, ports: GuardPorts): Guard {
  const watches = new Map<string, Watch>();
  return {
    avoids: ({ key }) => watches.get(key)?.isHealthy === false,
    update: (endpoints) => {
      const keys = new Set(endpoints.map(({ key }) => key));
      for (const [key, watch] of watches) {
        if (keys.has(key)) continue;
        watch.close();
        watches.delete(key);
      }
      for (const endpoint of endpoints) {
        if (!watches.has(endpoint.key)) watches.set(endpoint.key, new Watch(endpoint, settings.service ?? "", ports));
      }
    },
    close: () => {
      for (const watch of watches.values()) watch.close();
      watches.clear();
    },
  };
}

/** One instance's health, as it tells. */
class Watch {
  isHealthy = true;
  readonly #endpoint: Endpoint;
  readonly #service: string;
  readonly #ports: GuardPorts;
  readonly #backoff;
  #call: Call | undefined;
  #disarm: (() => void) | undefined;
  #isClosed = false;

  constructor(endpoint: Endpoint, service: string, ports: GuardPorts) {
    this.#endpoint = endpoint;
    this.#service = service;
    this.#ports = ports;
    this.#backoff = createBackoff(ports.random.fork(endpoint.key));
    void this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm?.();
    this.#call?.cancel();
  }

  async #open(): Promise<void> {
    const { clock, transport } = this.#ports;
    const { address, addressing } = this.#endpoint;
    const call = new Call({ clock, service: "health", method: watchMethod.path, metadata: addressing });
    this.#call = call;
    const request = create(HealthCheckRequestSchema, { service: this.#service });
    let error = new RpcError("the watch ended", { code: "UNAVAILABLE" });
    try {
      const response = await transport.invoke(address, watchMethod, call, request);
      if (response.kind === "stream") {
        for await (const { status } of response.messages as AsyncIterable<HealthCheckResponse>) {
          this.#backoff.reset();
          const says = HealthCheckResponse_ServingStatusSchema.value[status]?.name ?? "UNKNOWN";
          this.#become(says === "SERVING", `it says ${says}`);
        }
      }
    } catch (thrown) {
      error = toRpcError(thrown);
    }
    call.end();
    if (this.#isClosed) return;
    if (error.code === "UNIMPLEMENTED") {
      this.#become(true, "it doesn't know health checks");
      return;
    }
    this.#become(false, error.message);
    this.#disarm = clock.after(this.#backoff.nextUs(), () => void this.#open());
  }

  #become(isHealthy: boolean, reason: string): void {
    if (this.isHealthy === isHealthy || this.#isClosed) return;
    this.isHealthy = isHealthy;
    const state = isHealthy ? "serving" : "not-serving";
    this.#ports.report({ policy, instance: this.#endpoint.id, state, reason });
    this.#ports.onChange();
  }
}
