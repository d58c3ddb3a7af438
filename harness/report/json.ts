import type { Reporter } from "./reporter.ts";

/** Exactly one document at the end: an `InvocationResult`. */
export function jsonReporter({ write }: { readonly write: (text: string) => void }): Reporter {
  return { onEnd: (result) => write(`${JSON.stringify(result, null, 2)}\n`) };
}
