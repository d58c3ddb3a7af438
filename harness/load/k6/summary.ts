import { z } from "zod";

import type { LoadReportRecord } from "../../history/record.ts";
import { LoadError } from "../driver.ts";

const metric = z.object({
  values: z.record(z.string(), z.number()),
  thresholds: z.record(z.string(), z.object({ ok: z.boolean() })).optional(),
});

/**
 * What k6 gives to `handleSummary`, as far as it is needed (https://grafana.com/docs/k6/latest/results-output/end-of-test/custom-summary/).
 */
const summarySchema = z.object({
  metrics: z.record(z.string(), metric),
  state: z.object({ testRunDurationMs: z.number() }),
});

/** Reads what a script's `handleSummary` printed. Throws a `LoadError` for anything else. */
export function parseK6Summary(text: string): LoadReportRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(text === "" ? "it printed nothing" : `it printed ${JSON.stringify(text.slice(0, 200))}`, cause);
  }
  const parsed = summarySchema.safeParse(value);
  if (!parsed.success) throw unreadable(parsed.error.message, parsed.error);
  const { metrics } = parsed.data;
  // A metric that got no value at all isn't there.
  const calls = metrics["http_reqs"]?.values["count"] ?? 0;
  // Of this rate metric `passes` counts the values that are true: the requests that failed.
  const failed = metrics["http_req_failed"]?.values["passes"] ?? 0;
  return {
    type: "load.report",
    by: "k6",
    calls,
    failed,
    thresholds: Object.entries(metrics).flatMap(([name, { values, thresholds = {} }]) =>
      Object.entries(thresholds).map(([expression, { ok }]) => ({
        metric: name,
        expression,
        ok,
        observed: values[/^(p\([\d.]+\)|[a-z]+)/.exec(expression)?.[1] ?? ""] ?? null,
      })),
    ),
  };
}

const unreadable = (why: string, cause: unknown): LoadError =>
  new LoadError(`k6's summary can't be read: ${why}`, { code: "CRASHED", cause });
