import type { Call } from "../runtime/call/call.ts";
import type { Filter } from "../runtime/call/filter.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import type { Response } from "../runtime/ports/transport.ts";
import type { Disturbance, Settle } from "./disturbance.ts";
import type { NodeContext } from "./service.ts";

/** Breaks a process as `disturbance` says, until the answer is called. Undefined: that is the program's own affair. */
export function disturbProcess(
  disturbance: Disturbance,
  {
    context,
    hang,
    registries,
  }: { readonly context: NodeContext; readonly hang: Hang; readonly registries: readonly Registry[] },
): Settle | Promise<Settle> | undefined {
  if (disturbance.kind === "own-session-expiry") return expireSessions(registries);
  if (disturbance.kind === "half-dead") return hang.begin();
  if (disturbance.kind === "blocks") return blocking(context, disturbance);
  return undefined;
}

/** What was lost isn't brought back: its clients do that. */
function expireSessions(registries: readonly Registry[]): Promise<Settle> | undefined {
  const open = registries.filter(({ state }) => state !== "closed");
  if (open.length === 0 || open.some((registry) => registry.expireSession === undefined)) return undefined;
  return Promise.all(open.map((registry) => registry.expireSession!())).then(() => () => undefined);
}

/** A door that calls don't get through while it is shut. Health checks go around every filter, and so around this one. */
export class Hang {
  #shut = 0;
  readonly #waiting = new Set<() => void>();

  readonly filter: Filter = (call, request, next) =>
    this.#shut === 0 ? next(call, request) : this.#open(call).then((): Promise<Response> => next(call, request));

  begin(): Settle {
    this.#shut++;
    return () => {
      if (--this.#shut > 0) return;
      for (const proceed of [...this.#waiting]) proceed();
    };
  }

  /** Waits until the door opens, or nobody waits for the answer any more. */
  #open(call: Call): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(proceed);
        leave();
      };
      const proceed = (): void => {
        end();
        resolve();
      };
      this.#waiting.add(proceed);
      const leave = call.onCancel(() => {
        end();
        reject(call.reason!);
      });
    });
  }
}

function blocking(
  { clock, block }: NodeContext,
  { everyMs, blockMs }: Extract<Disturbance, { kind: "blocks" }>,
): Settle | undefined {
  if (block === undefined) return undefined;
  let disarm = (): void => undefined;
  const again = (): void => {
    // Armed first: the next one is due by the clock, however long this one takes.
    disarm = clock.after(everyMs * 1000, again);
    block(blockMs * 1000);
  };
  again();
  return () => disarm();
}
