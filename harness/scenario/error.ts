/** What is wrong with a scenario, or with what was asked of it. The command line answers it with exit code 2. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
  readonly code: "INVALID_SCENARIO" | "UNKNOWN_NAME" | "UNSUPPORTED" | "TOO_FEW_TRIALS";
  /** What to do next: the nearest name, the number of calls that would do. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: ScenarioError["code"]; readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}
