import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { Call } from "../../call/call.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import { ServerReflectionRequestSchema, ServerReflectionResponseSchema } from "../../reflection/proto/reflection_pb.ts";
import type { Reflection } from "../../reflection/reflection.ts";
import type { GrpcServerCall, ServerCallEvents } from "../grpc/server-call.ts";

/** A call of the reflection service: each question is answered before the next is read, and only while the caller reads. */
export class ReflectionCall implements ServerCallEvents {
  readonly #grpc: GrpcServerCall;
  readonly #reflection: Reflection;
  readonly #call: Call;
  #isFull = false;

  constructor(grpc: GrpcServerCall, reflection: Reflection, clock: Clock) {
    this.#grpc = grpc;
    this.#reflection = reflection;
    const { path: method, timeoutUs } = grpc.request;
    this.#call = new Call({ clock, service: "", method, timeoutUs });
    this.#call.onCancel((reason) => grpc.fail(reason));
    grpc.events = this;
    grpc.read();
  }

  onMessage(bytes: Buffer): void {
    try {
      this.#grpc.send(this.#answer(bytes));
    } catch (error) {
      return this.#fail(toRpcError(error));
    }
    this.#isFull = !this.#grpc.isWritable;
    if (!this.#isFull) this.#grpc.read();
  }

  onEnd(): void {
    this.#grpc.end();
    this.#call.end();
  }

  onCancel(): void {
    this.#call.end();
  }

  onDrain(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#grpc.read();
  }

  #answer(bytes: Buffer): Uint8Array {
    let request;
    try {
      request = fromBinary(ServerReflectionRequestSchema, bytes);
    } catch (cause) {
      throw new RpcError("the request is malformed", { code: "INTERNAL", cause });
    }
    const answer = this.#reflection.answer(request);
    if (answer === undefined) throw new RpcError("the request asks nothing", { code: "INVALID_ARGUMENT" });
    return toBinary(ServerReflectionResponseSchema, create(ServerReflectionResponseSchema, answer));
  }

  #fail(error: RpcError): void {
    this.#grpc.fail(error);
    this.#call.end();
  }
}
