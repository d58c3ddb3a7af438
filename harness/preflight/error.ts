/** Rules or instances that can't be looked at. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
  /** `UNREACHABLE`: the registry doesn't answer; all others are the user's to mend. */
  readonly code: "NO_RULES" | "CANNOT_READ" | "UNKNOWN_KIND" | "INVALID_INSTANCES" | "UNREACHABLE";
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: PreflightError["code"]; readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}
