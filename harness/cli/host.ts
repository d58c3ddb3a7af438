import { setFlagsFromString } from "node:v8";

import type { Host } from "../worlds/sim/host.ts";

/**
 * Node.js as the simulator's host. Microtasks are drained by `process._tickCallback`, which works only inside a macrotask: that
 * is tried out first. Where it doesn't work, `warn` hears of it and the simulator takes a macrotask for each event.
 */
export async function nodeHost(warn: (message: string) => void = defaultWarning): Promise<Host> {
  // While a fleet starts, most of what is made stays, and V8 learns to put it among the old objects. Calls, made by the same code,
  // would go there too, and keep alive whatever they point to: measured, a third more time a call.
  setFlagsFromString("--no-allocation-site-pretenuring");
  const plain: Host = { enter: (fn) => void setImmediate(fn), nowMs: () => performance.now() };
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

function defaultWarning(message: string): void {
  process.emitWarning(message);
}
