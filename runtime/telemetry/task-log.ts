import type { Call } from "../call/call.ts";
import type { Next } from "../call/filter.ts";
import { toRpcError, type RpcError } from "../call/status.ts";
import { observedStream } from "../call/stream.ts";
import type { Clock } from "../ports/clock.ts";
import type { Response } from "../ports/transport.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { Rejection } from "../protection/outcome.ts";
import type { TaskBegin, TaskEnd } from "./events.ts";

/** Reports what a server does with the calls that it gets, from their beginning until their handler is done: a task's life. */
export class TaskLog {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  #last = 0;

  constructor(ports: { readonly clock: Clock; readonly telemetry: Telemetry }) {
    this.#clock = ports.clock;
    this.#telemetry = ports.telemetry;
  }

  /** A call that no handler saw. */
  refused({ workUs }: Call, { code }: RpcError): void {
    this.#end(++this.#last, { state: "refused", code, workUs });
  }

  /** Serves a call by `next`. The task lasts until the handler is done, however long ago its caller has gone. */
  async serve(call: Call, request: unknown, next: Next): Promise<Response> {
    const task = ++this.#last;
    const { deadlineUs, method } = call;
    const begin: TaskBegin = { type: "task.begin", atUs: this.#clock.nowUs(), task, method };
    this.#telemetry.emit(deadlineUs === Infinity ? begin : { ...begin, deadlineUs });
    let goneUs: number | undefined;
    call.onCancel(() => (goneUs = this.#clock.nowUs()));
    let isOver = false;
    const over = (error?: RpcError): void => {
      if (isOver) return;
      isOver = true;
      const code = call.reason?.code ?? error?.code ?? "OK";
      this.#end(task, { state: stateOf(call, error), code, workUs: call.workUs, goneUs });
    };
    try {
      const response = await next(call, request);
      if (response.kind === "unary") {
        over();
        return response;
      }
      return { kind: "stream", messages: observedStream(response.messages, over, call) };
    } catch (thrown) {
      over(toRpcError(thrown));
      throw thrown;
    }
  }

  #end(task: number, { state, code, workUs, goneUs }: Ending): void {
    const end: { -readonly [Key in keyof TaskEnd]: TaskEnd[Key] } = {
      type: "task.end",
      atUs: this.#clock.nowUs(),
      task,
      state,
      code,
    };
    if (workUs !== undefined) end.workUs = workUs;
    if (goneUs !== undefined) end.goneUs = goneUs;
    this.#telemetry.emit(end);
  }
}

interface Ending extends Pick<TaskEnd, "state" | "code"> {
  readonly workUs: number | undefined;
  readonly goneUs?: number | undefined;
}

function stateOf({ reason }: Call, error: RpcError | undefined): TaskEnd["state"] {
  if (reason !== undefined) return reason.code === "DEADLINE_EXCEEDED" ? "out-of-time" : "given-up";
  return error instanceof Rejection ? "refused" : "answered";
}
