import type { Call } from "../call/call.ts";
import { requestTag } from "../call/travelling.ts";
import type { RpcError } from "../call/status.ts";
import { Rejection } from "../protection/outcome.ts";
import type { Clock } from "../ports/clock.ts";
import { silent, type Telemetry } from "../ports/telemetry.ts";
import type { Attempt, CallBegin } from "./events.ts";
import type { TraceContext } from "./trace-context.ts";

/** Numbers a node's calls and reports their beginnings and ends: the consumer's view, from which a history is judged. */
export class CallLog {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  #last = 0;

  constructor(ports: { readonly clock: Clock; readonly telemetry: Telemetry }) {
    this.#clock = ports.clock;
    this.#telemetry = ports.telemetry;
  }

  /** The next call's id. */
  next(): number {
    return ++this.#last;
  }

  begin(
    call: Call,
    details: {
      readonly dueUs?: number | undefined;
      readonly key?: string | undefined;
      /** The call that is made once more. */
      readonly redelivers?: number | undefined;
      /** Where its own span is found, if there is one. */
      readonly trace?: TraceContext | undefined;
    },
  ): void {
    if (this.#telemetry === silent) return;
    const atUs = this.#clock.nowUs();
    const tag = requestTag(call);
    const event: { -readonly [Key in keyof CallBegin]: CallBegin[Key] } = {
      type: "call.begin",
      atUs,
      call: call.id,
      service: call.service,
      method: call.method,
      dueUs: details.dueUs ?? atUs,
    };
    if (details.key !== undefined) event.key = details.key;
    if (tag !== undefined) event.tag = tag;
    // A call from another node, and what only bundles calls, has no number here.
    if (call.parent !== undefined && call.parent.id > 0) event.parent = call.parent.id;
    if (details.redelivers !== undefined) event.redelivers = details.redelivers;
    if (details.trace !== undefined) {
      event.traceId = details.trace.traceId;
      event.spanId = details.trace.spanId;
    }
    this.#telemetry.emit(event);
  }

  end(call: Call, attempts: readonly Attempt[], error?: RpcError): void {
    if (this.#telemetry === silent) return;
    const atUs = this.#clock.nowUs();
    const { id } = call;
    if (error === undefined) this.#telemetry.emit({ type: "call.end", atUs, call: id, code: "OK", attempts });
    else {
      const { code, message } = error;
      const rejectedBy = error instanceof Rejection ? { rejectedBy: error.policy } : undefined;
      this.#telemetry.emit({ type: "call.end", atUs, call: id, code, message, ...rejectedBy, attempts });
    }
  }
}
