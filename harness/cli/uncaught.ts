import { originOf } from "../../runtime/node/modules.ts";
import type { ListenForUncaught } from "../worlds/sim/world.ts";
import { WorldError } from "../worlds/error.ts";

/** Those whose modules might be to blame for what nobody catches. */
const listeners = new Set<{ readonly files: ReadonlySet<string>; readonly hear: (error: Error) => void }>();

/** Until it is closed, `hear` is told what modules of the user's throw that nobody catches, or reject that nobody awaits. */
export const listenForUncaught: ListenForUncaught = (files, hear) => {
  const listener = { files: new Set(files), hear };
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

/**
 * Takes what nobody caught to the runs whose module it came from. The answer is undefined when it came from none, else how it is told;
 * `isHeard` is false when such a run is over already.
 */
export function takeUncaught(error: unknown): { readonly error: Error; readonly isHeard: boolean } | undefined {
  const origin = originOf(error);
  // What was rejected isn't even an error, and knows no place.
  const isPlaceless = error instanceof Error && (error as NodeJS.ErrnoException).code === "ERR_UNHANDLED_REJECTION";
  const blamed = [...listeners].filter(
    ({ files }) => isPlaceless || origin?.files.some((file) => files.has(file)) === true,
  );
  if (origin === undefined && blamed.length === 0) return undefined;
  const { name, message } = error as Error;
  const told = new WorldError(
    origin === undefined
      ? `a module of ${[...new Set(blamed.flatMap(({ files }) => [...files]))].join(", ")} rejects, and nobody awaits it: ${message}`
      : `${origin.place} throws ${name}: ${message}, and nobody catches it`,
    {
      code: "UNAVAILABLE",
      hint: "await every promise, or catch what it may reject with; in a process of its own the service would have died of it",
      cause: error,
    },
  );
  for (const { hear } of blamed) hear(told);
  return { error: told, isHeard: blamed.length > 0 };
}
