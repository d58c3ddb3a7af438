/** A fleet that doesn't come up, or a world that can't go on. The command line answers it with exit code 3. */
export class WorldError extends Error {
  override readonly name = "WorldError";
  readonly code: "NOT_READY" | "UNAVAILABLE";
  /** What to do next. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: WorldError["code"]; readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}
