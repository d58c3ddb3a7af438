/** A history that can't be written or read. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly code: "CANNOT_WRITE" | "CANNOT_READ" | "MALFORMED" | "WRONG_VERSION";
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: HistoryError["code"]; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}
