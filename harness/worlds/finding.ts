/** One thing that was looked at. */
export interface Finding {
  readonly name: string;
  /** `missing`: the world can't run; `advice`: it can, and something is worth knowing. */
  readonly state: "ok" | "advice" | "missing";
  readonly message: string;
  /** What to do next. */
  readonly hint?: string;
}
