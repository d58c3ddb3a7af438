import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Plan } from "../../scenario/plan.ts";
import { LoadError, type LoadDriver, type LoadSite, type PreparedLoad } from "../driver.ts";
import { findK6, K6Process, type Guard, type K6Source } from "./process.ts";
import { k6Script } from "./script.ts";
import { parseK6Summary } from "./summary.ts";

/** Overridden by FLYBALL_IMAGE_K6. */
const defaultImage = "grafana/k6:1.8.1";

export interface K6Options {
  /** On k6's container. Default none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Sees to it that k6 doesn't outlive this process. Default: nobody does. */
  readonly guard?: Guard | undefined;
  /** Where FLYBALL_IMAGE_K6 is looked up. Default: the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * k6 makes the load: the real one, the binary on the PATH or its image, with a script made for the plan. It and the fleet share the
 * machine's wall clock, which says when the load begins.
 */
export function k6Load({ labels = {}, guard, env = process.env }: K6Options = {}): LoadDriver {
  const named = env["FLYBALL_IMAGE_K6"];
  let found: ReturnType<typeof findK6> | undefined;
  const find = () => (found ??= findK6(named ?? defaultImage, { isImageNamed: named !== undefined, labels }));
  return {
    name: "k6",
    missing: async () => {
      const source = await find();
      return source.kind === "missing" ? source : undefined;
    },
    prepare: async (plan, site) => {
      const source = await find();
      if (source.kind === "missing") throw new LoadError(source.message, { code: "UNAVAILABLE", hint: source.hint });
      return prepare(source, plan, site, guard);
    },
  };
}

/** k6 must wait for its start at least so long before it comes. */
const spareUs = 200_000;
/** How long k6 takes to start where nothing else is known, doubled at each try. */
const startsWithinUs = 2_000_000;
const triesMax = 4;

/** A k6 that isn't ready when its load should begin has sent nothing yet: it is ended, and another one gets more time. */
async function prepare(source: K6Source, plan: Plan, site: LoadSite, guard: Guard | undefined): Promise<PreparedLoad> {
  const { clock, addresses, network, signal } = site;
  if (network !== undefined && source.kind === "binary") {
    throw new LoadError("the fleet is in a Docker network, which a k6 outside of it can't reach", {
      code: "UNAVAILABLE",
      hint: "name k6's image in FLYBALL_IMAGE_K6",
    });
  }
  const script = k6Script(plan, addresses);
  if (site.out !== undefined) await writeFile(join(site.out, "k6.js"), script);
  for (let attempt = 0; attempt < triesMax; attempt++) {
    signal.throwIfAborted();
    const leadUs = Math.max(site.leadUs, startsWithinUs * 2 ** attempt);
    const originUs = clock.nowUs() + leadUs;
    // Rounded up: a request may be a millisecond late, and never early.
    const startMs = clock.wallMs() + Math.ceil(leadUs / 1000) + 1;
    const k6 = new K6Process(source, { script, startMs, users: plan.drives.length, network, guard });
    const onAbort = (): void => void k6.close();
    signal.addEventListener("abort", onAbort, { once: true });
    const forget = (): void => signal.removeEventListener("abort", onAbort);
    void k6.done.then(forget, forget);
    const sleeping = new AbortController();
    const isLate = clock.sleep(leadUs - spareUs, sleeping.signal).then(() => true);
    isLate.catch(() => undefined);
    try {
      if (!(await Promise.race([k6.ready.then(() => false), isLate]))) {
        return { originUs, done: k6.done.then(parseK6Summary), close: () => k6.close() };
      }
    } catch (error) {
      await k6.close();
      signal.throwIfAborted();
      throw error;
    } finally {
      sleeping.abort();
    }
    await k6.close();
  }
  throw new LoadError(`k6 wasn't ready within ${(startsWithinUs * 2 ** (triesMax - 1)) / 1e6} s`, {
    code: "UNAVAILABLE",
    hint: "is this machine too busy?",
  });
}
