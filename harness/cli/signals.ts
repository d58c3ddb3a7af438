import { exitCodes, type ExitCode } from "./errors.ts";

/** What became of a wish to stop. */
export interface Interruption {
  readonly signal: AbortSignal;
  /** The exit code that says so; undefined while nobody has interrupted. */
  readonly exitCode: ExitCode | undefined;
  /** Gives the signals back. */
  stop(): void;
}

/** npm hands a Ctrl-C on that the terminal has already sent to everyone: both are one. */
const oneKeystrokeMs = 500;

/**
 * The first Ctrl-C (or SIGTERM) aborts: faults are healed, the fleet is stopped, and what there is is reported. The second
 * one ends this process at once; whoever watches it ends the fleet.
 */
export function interruptible(onFirst: () => void, onSecond: () => void): Interruption {
  const controller = new AbortController();
  let exitCode: ExitCode | undefined;
  let firstMs = 0;
  const interrupt = (code: ExitCode) => (): void => {
    const nowMs = performance.now();
    if (exitCode === undefined) {
      exitCode = code;
      firstMs = nowMs;
      onFirst();
      controller.abort();
    } else if (nowMs - firstMs > oneKeystrokeMs) {
      onSecond();
      process.exit(exitCode);
    }
  };
  const onInterrupt = interrupt(exitCodes.interrupted);
  const onTerminate = interrupt(exitCodes.terminated);
  process.on("SIGINT", onInterrupt).on("SIGTERM", onTerminate);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    stop: () => {
      process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate);
    },
  };
}
