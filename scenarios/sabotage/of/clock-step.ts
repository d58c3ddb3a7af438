import { brokenReplies, failingCalls, second, unfairBalancer, unguarded, type SabotagedCheck } from "../kit.ts";

const off = { fromUs: 2 * second, toUs: 5 * second } as const;
/** Calls that aren't signed yet when they are counted, for all that their attachments say. */
const all = (): boolean => true;

export default [
  {
    check: "calls-end",
    gross: (seed) => unguarded(seed, "orders", all, 1),
    // Of the third that is refused so many that a tenth is left.
    mild: (seed) => unguarded(seed, "orders", all, 0.7),
  },
  {
    check: "success-rate 2100ms..5s",
    gross: (seed) => brokenReplies(seed, "orders", 1, off),
    mild: (seed) => brokenReplies(seed, "orders", 0.4, off),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3, { fromUs: 5.1 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.1),
  },
  {
    check: "share",
    // When the clock is right again, so that no other third of the calls is refused.
    gross: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/0", 1, { fromUs: 5 * second }),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/0", 0.5),
  },
] satisfies readonly SabotagedCheck[];
