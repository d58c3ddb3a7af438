import type { Verdict } from "../report/verdict.ts";

/** What a shell learns from an invocation. */
export const exitCodes = {
  passed: 0,
  /** An expectation failed. */
  failed: 1,
  /** Wrong usage, an invalid scenario, or a world that was asked for and can't do it. */
  usage: 2,
  /** The environment lacks something. */
  environment: 3,
  /** The same seed gave another run. */
  diverged: 4,
  /** Nothing failed, and something stayed inconclusive (or unsupported). */
  inconclusive: 5,
  /** A bug of ours. */
  bug: 70,
  /** Ctrl-C. */
  interrupted: 130,
  /** SIGTERM. */
  terminated: 143,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An invocation that ends without a verdict: told in one sentence, with what to do next. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly exitCode: ExitCode; readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode;
    this.hint = options.hint;
  }
}

export const usageError = (message: string, hint?: string, cause?: unknown): CliError =>
  new CliError(message, { exitCode: exitCodes.usage, hint, cause });

/** A verdict's exit code. A run that is an error has a defect of ours in it unless its own error said otherwise. */
export function exitCodeOf(verdict: Verdict): ExitCode {
  switch (verdict) {
    case "pass":
      return exitCodes.passed;
    case "fail":
      return exitCodes.failed;
    case "inconclusive":
    case "unsupported":
      return exitCodes.inconclusive;
    case "error":
      return exitCodes.bug;
  }
}

/** Any error as people should see it. Errors that callers can meet have a `code` and mostly a `hint`; others are bugs. */
export function explain(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return new CliError(String(error), { exitCode: exitCodes.bug });
  const { hint, code } = error as { hint?: unknown; code?: unknown };
  const options = { hint: typeof hint === "string" ? hint : undefined, cause: error };
  if (error.name === "ScenarioError") return new CliError(error.message, { ...options, exitCode: exitCodes.usage });
  if (error.name === "WorldError") return new CliError(error.message, { ...options, exitCode: exitCodes.environment });
  if (error.name === "LoadError") {
    const exitCode = code === "CRASHED" ? exitCodes.bug : exitCodes.environment;
    return new CliError(error.message, { ...options, exitCode });
  }
  if (error.name === "HistoryError" || error.name === "PrometheusError")
    return new CliError(error.message, { ...options, exitCode: exitCodes.environment });
  // The operating system says no: a full disk, a directory that can't be written.
  if (typeof code === "string" && environmentCodes.has(code)) {
    const hint = options.hint ?? hints[code];
    return new CliError(error.message, { ...options, hint, exitCode: exitCodes.environment });
  }
  return new CliError(`${error.stack ?? error.message}`, {
    exitCode: exitCodes.bug,
    hint: "this is a bug of Flyball: please report it with the lines above",
    cause: error,
  });
}

/** What to do about some of them. */
const hints: Readonly<Record<string, string>> = Object.fromEntries(
  ["ENOSPC", "EDQUOT"].map((code) => [code, "make room, or write elsewhere with --out DIR"]),
);

const environmentCodes = new Set([
  ...["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOTDIR", "EISDIR", "EEXIST"],
  ...["EADDRINUSE", "EADDRNOTAVAIL", "EAGAIN", "ENOMEM"],
]);
