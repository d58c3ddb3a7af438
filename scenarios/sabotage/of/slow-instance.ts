import { onlyOn, type SabotagedCheck, slowCalls, swappedBalancer } from "../kit.ts";

export default (
  [
    // The last: the share of calls that meet the slow instance anyway, at least.
    ["storefront", "p2c-peak-ewma", 0.005],
    ["mobile", "p2c-adaptive", 0.02],
    ["kiosk", "weighted-round-robin", 0.01],
  ] as const
).map(([caller, balancer, natural]) => ({
  check: `latency from ${caller}`,
  gross: () => swappedBalancer(balancer, "round-robin"),
  mild: (seed: number) => onlyOn(caller, slowCalls(seed, "orders", 200_000, 0.32 - natural)),
})) satisfies readonly SabotagedCheck[];
