import fc from "fast-check";
import { expect, test } from "vitest";

import { isIn } from "../../judge/select.ts";
import { constant, poisson } from "../../scenario/builders.ts";
import type { Plan } from "../../scenario/plan.ts";
import { k6Plan } from "./fixture.ts";
import { k6Script } from "./script.ts";
import { k6Thresholds } from "./thresholds.ts";

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly atMs: number;
  readonly params: {
    readonly headers: Readonly<Record<string, string>>;
    readonly tags: Readonly<Record<string, string>>;
    readonly timeout: number;
  };
}

const startMs = 1_000_000;
const addresses = new Map([
  ["storefront/0", "127.0.0.1:1"],
  ["storefront/1", "127.0.0.1:2"],
]);

/**
 * Runs a script as one user of k6 would, on a clock of its own: what it imports from k6 is replaced, and nothing answers within
 * `answersWithinMs`.
 */
async function run(script: string, user: number, answersWithinMs: number) {
  const body = script
    .replaceAll(/^import .*$/gm, "")
    .replaceAll(/^export default function/gm, "exported.default = function")
    .replaceAll(/^export (const|function) (\w+)/gm, (_, kind: string, name: string) =>
      kind === "const" ? `exported.${name}` : `exported.${name} = function`,
    );
  const exported: {
    options?: { readonly scenarios: { readonly load: { readonly vus: number } }; readonly thresholds: object };
    default?: () => Promise<void>;
  } = {};
  let nowMs = startMs - 300;
  const timers: { readonly atMs: number; readonly fn: () => void }[] = [];
  const setTimeout = (fn: () => void, ms: number): void => void timers.push({ atMs: nowMs + ms, fn });
  const sent: Sent[] = [];
  const http = {
    asyncRequest: (method: string, url: string, _body: null, params: Sent["params"]) => {
      sent.push({ method, url, atMs: nowMs, params });
      return new Promise<void>((resolve) => setTimeout(resolve, answersWithinMs));
    },
  };
  class SharedArray {
    constructor(_name: string, make: () => unknown) {
      return make() as SharedArray;
    }
  }
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const load = new Function("exported", "SharedArray", "exec", "http", "setTimeout", "__ENV", "Date", "console", body);
  const date = { now: () => Math.floor(nowMs) };
  const environment = { FLYBALL_START_MS: String(startMs) };
  const silent = { log: () => undefined };
  // eslint-disable-next-line @typescript-eslint/no-unsafe-call
  load(exported, SharedArray, { vu: { idInTest: user } }, http, setTimeout, environment, date, silent);
  let isOver = false;
  void exported.default!().then(() => (isOver = true));
  for (;;) {
    // Promises first, then the earliest timer.
    await new Promise((resolve) => setImmediate(resolve));
    const next = timers.toSorted((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined) break;
    timers.splice(timers.indexOf(next), 1);
    nowMs = Math.max(nowMs, next.atMs);
    next.fn();
  }
  expect(isOver).toBe(true);
  return { sent, options: exported.options! };
}

test("each call of the plan is sent once, when it is due, never early, however slow the others are", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 1000 }),
      fc.boolean(),
      fc.constantFrom(0, 5, 5_000),
      async (seed, isPoisson, answersWithinMs) => {
        const load = (isPoisson ? poisson : constant)("200/s").on("storefront").for("2500ms");
        const plan: Plan = k6Plan({ load }, seed);
        const script = k6Script(plan, addresses);
        for (const [index, { node, dueUs }] of plan.drives.entries()) {
          const { sent, options } = await run(script, index + 1, answersWithinMs);
          expect(options.scenarios.load.vus).toBe(plan.drives.length);
          expect(sent.map(({ params }) => Number(params.headers["x-flyball-due-us"]))).toEqual(dueUs);
          for (const { method, url, atMs, params } of sent) {
            const dueMs = startMs + Number(params.headers["x-flyball-due-us"]) / 1000;
            expect(method).toBe("POST");
            expect(url).toBe(`http://${addresses.get(node)!}/do`);
            expect(atMs).toBeGreaterThanOrEqual(dueMs);
            // The clock that it sees has whole milliseconds.
            expect(atMs).toBeLessThan(dueMs + 1.001);
          }
        }
      },
    ),
    { numRuns: 6 },
  );
});

test("requests carry the tags of exactly those checks that are about them", async () => {
  const plan = k6Plan();
  const tagged = k6Thresholds(plan).filter(({ tag }) => tag !== undefined);
  expect(tagged).toHaveLength(1);
  const { sent, options } = await run(k6Script(plan, addresses), 1, 5);
  for (const { params } of sent) {
    const due = Number(params.headers["x-flyball-due-us"]);
    expect(params.tags).toEqual(isIn(tagged[0]!.parts, due) ? { c1: "in" } : {});
  }
  expect(Object.keys(options.thresholds)).toEqual(["http_req_failed", "http_req_failed{c1:in}", "http_req_duration"]);
});

test("k6 waits longer for an answer than the gateway for its call", async () => {
  const { sent } = await run(k6Script(k6Plan(), addresses), 1, 5);
  expect(sent[0]!.params.timeout).toBe(5_400);
});
