import { setFlagsFromString } from "node:v8";
import { createContext, Script } from "node:vm";

import type { Host } from "../worlds/sim/host.ts";

/**
 * Node.js as the simulator's host. Microtasks are drained by `process._tickCallback`, which works only inside a macrotask: that
 * is tried out first. Where it doesn't work, `warn` hears of it and the simulator takes a macrotask for each event.
 */
export async function nodeHost(warn: (message: string) => void = defaultWarning): Promise<Host> {
  // While a fleet starts, most of what is made stays, and V8 learns to put it among the old objects. Calls, made by the same code,
  // would go there too, and keep alive whatever they point to: measured, a third more time a call.
  setFlagsFromString("--no-allocation-site-pretenuring");
  const plain: Host = { enter: (fn) => void setImmediate(fn), within, nowMs: () => performance.now() };
  const drain = (process as { _tickCallback?: () => void })._tickCallback?.bind(process);
  const doesDrain = await new Promise<boolean>((resolve) => {
    setImmediate(() => {
      let hasRun = false;
      // Two deep: what a continuation causes must have run too.
      void Promise.resolve()
        .then(() => undefined)
        .then(() => (hasRun = true));
      drain?.();
      resolve(hasRun);
    });
  });
  if (doesDrain && drain !== undefined) return { ...plain, drain };
  warn("this Node.js can't drain microtasks on demand: the simulator runs at about a quarter of its speed");
  return plain;
}

/** Calls what is there under this name: only a script of its own can be cut off by a timeout. */
const boundedCall = new Script("fn()");
const room: { fn?: () => void } = {};
/** Made once, and only where somebody needs it: a context takes about a millisecond. */
let context: typeof room | undefined;

function within(ms: number, fn: () => void): boolean {
  context ??= createContext(room);
  room.fn = fn;
  try {
    boundedCall.runInContext(context, { timeout: ms });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return false;
    throw error;
  }
}

function defaultWarning(message: string): void {
  process.emitWarning(message);
}
