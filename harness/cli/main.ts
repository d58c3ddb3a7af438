import { enableCompileCache } from "node:module";

import { compileCache } from "../compile-cache.ts";
import { exitCodes, type ExitCode } from "./errors.ts";
import { commandLine, report } from "./program.ts";
import { takeUncaught } from "./uncaught.ts";

// The program: the command line as a process of its own. Most of a short command's time is Node.js reading TypeScript.
enableCompileCache(compileCache);

/** Whether it is this program that ends the process. */
let isEnding = false;
/** A module of the user's that ends the process, or waits for what never comes, must not look as if everything had passed. */
process.on("exit", (code) => {
  const isMeant = isEnding || code === exitCodes.interrupted || code === exitCodes.terminated;
  if (isMeant || process.exitCode === exitCodes.usage) return;
  process.stderr.write("error: a module of the scenario's ends the process, or waits for something that never comes\n");
  process.exitCode = exitCodes.usage;
});

/** Of modules of the user's whose runs were over; they don't end what else runs. */
let lateFailure: ExitCode | undefined;
/**
 * What nobody awaits is a bug like any other; left to Node.js it would end with 1, as a failed expectation does. What comes from a module
 * of the user's in `sim` is its run's failure.
 */
process.on("uncaughtException", (error) => {
  const taken = takeUncaught(error);
  if (taken === undefined) void end(report(error));
  else if (!taken.isHeard) lateFailure = report(taken.error);
});

/** Why people's or programs' text can't be written, a full disk under it for example. */
let unwritten: Error | undefined;
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) doesn't change what a run finds.
    if (error.code !== "EPIPE") unwritten ??= error;
  });
}

try {
  await commandLine(end).parseAsync();
} catch (error) {
  await end(report(error));
}

/** Ends the process when everything is written: nothing that a run has left behind may keep it alive. */
async function end(code: ExitCode): Promise<void> {
  isEnding = true;
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
  );
  const told = code === exitCodes.passed ? (lateFailure ?? code) : code;
  process.exit(unwritten === undefined ? told : report(unwritten));
}
