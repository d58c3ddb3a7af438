/** What is wrong with a scenario, or with what was asked of it. The command line answers it with exit code 2. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
  readonly code: "INVALID_SCENARIO" | "UNKNOWN_NAME" | "UNSUPPORTED" | "TOO_FEW_TRIALS";
  /** What to do next: the nearest name, the number of calls that would do. */
  readonly hint: string | undefined;
  /** The part of the scenario that it is about, where the message itself doesn't begin with a path ("load.0.on: …"). */
  readonly path: readonly PropertyKey[] | undefined;

  constructor(
    message: string,
    options: {
      readonly code: ScenarioError["code"];
      readonly hint?: string | undefined;
      readonly path?: readonly PropertyKey[] | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
    this.path = options.path ?? leadingPath(message);
  }
}

/** Does `work`; what it says of the scenario is about `path`, unless it names a place itself. */
export function inPart<T>(path: readonly PropertyKey[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ScenarioError) || error.path !== undefined) throw error;
    throw new ScenarioError(error.message, { code: error.code, hint: error.hint, path, cause: error });
  }
}

/** "load.0.on: …" is about load.0.on. */
function leadingPath(message: string): readonly string[] | undefined {
  return /^[a-z]+(?:\.[\w-]+)+/.exec(message)?.[0].split(".");
}
