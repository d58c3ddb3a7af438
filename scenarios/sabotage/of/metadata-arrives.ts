import { deafToTraces, givenBackConfirms, lostMetadata, lostSpans, type SabotagedCheck } from "../kit.ts";

const isOfSignature = (key: string): boolean => key === "signature";
const isXid = (key: string): boolean => key === "tx_xid";

export default [
  {
    check: "success-rate",
    gross: (seed) => lostMetadata(seed, "stock", isOfSignature, 1),
    mild: (seed) => lostMetadata(seed, "stock", isXid, 0.16),
    reported: { "seata-go's interceptor": (seed) => lostMetadata(seed, "account", (key) => !isXid(key), 1) },
  },
  {
    check: "atomicity",
    gross: (seed) => givenBackConfirms(seed, "stock", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
  },
  {
    check: "traces",
    gross: () => deafToTraces("account"),
    mild: (seed) => lostSpans(seed, "order", 0.08),
  },
] satisfies readonly SabotagedCheck[];
