import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";

import type { Metadata } from "../../call/metadata.ts";
import { OrcaLoadReportSchema } from "./proto/orca_pb.ts";

/** In an answer's trailers: the server's load (gRPC proposal A51). */
export const orcaKey = "endpoint-load-metrics-bin";

/** What a server says of itself. */
export interface LoadReport {
  /** Calls that it ended, and of these the failed, per second. */
  readonly perSecond: number;
  readonly errorsPerSecond: number;
  /** How much of what it can do is in use. */
  readonly utilization: number;
}

export function writeReport({ perSecond, errorsPerSecond, utilization }: LoadReport): string {
  const report = { rpsFractional: perSecond, eps: errorsPerSecond, applicationUtilization: utilization };
  return base64Encode(toBinary(OrcaLoadReportSchema, create(OrcaLoadReportSchema, report)), "std_raw");
}

/** The report that came with an answer; undefined where there is none, or none that can be read: a stranger's mistake is no failure. */
export function readReport(trailers: Metadata): LoadReport | undefined {
  const text = trailers.get(orcaKey);
  if (text === undefined) return undefined;
  try {
    const report = fromBinary(OrcaLoadReportSchema, base64Decode(text));
    const { rpsFractional, eps, applicationUtilization, cpuUtilization } = report;
    const utilization = applicationUtilization > 0 ? applicationUtilization : cpuUtilization;
    const read = { perSecond: rpsFractional, errorsPerSecond: eps, utilization };
    return Object.values(read).every((value) => Number.isFinite(value) && value >= 0) ? read : undefined;
  } catch {
    return undefined;
  }
}
