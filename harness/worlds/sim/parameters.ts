import type { Distribution } from "../../../services/distribution.ts";

/** What the simulated network and its machines cost. Calibrated from bare calls of a real world, never from a scenario. */
export interface SimParameters {
  /** One-way latency of a healthy link. */
  readonly link: Distribution;
  /** What a client spends on a call outside of its own code, before the request leaves. */
  readonly clientOverheadUs: Distribution;
  /** What a server spends on a call outside of its handler. */
  readonly serverOverheadUs: Distribution;
  /** What a new connection costs beside its round trip. */
  readonly connectOverheadUs: Distribution;
  /** From the order to start a node until it listens. */
  readonly startUs: Distribution;
  /** A lost segment is sent again after this long, then after twice as long, and so on (TCP: 200 ms). */
  readonly retransmissionUs: number;
  /** Losses of one segment in a row that break its connection: one more than this. */
  readonly retransmissionsMax: number;
  /** An attempt to connect that nobody answers fails after this long (gRPC: 20 s). */
  readonly connectTimeoutUs: number;
  /** Between two attempts to connect where the first one failed: the first pause, and the longest; each is 1.6 times the one before. */
  readonly backoffInitialUs: number;
  readonly backoffMaxUs: number;
}

const nothing: Distribution = { kind: "constant", us: 0 };

/** A plain data centre: 100 µs from node to node, and computers that cost no time. */
export const defaultParameters: SimParameters = {
  link: { kind: "constant", us: 100 },
  clientOverheadUs: nothing,
  serverOverheadUs: nothing,
  connectOverheadUs: nothing,
  startUs: { kind: "constant", us: 1_000 },
  retransmissionUs: 200_000,
  retransmissionsMax: 6,
  connectTimeoutUs: 20_000_000,
  backoffInitialUs: 100_000,
  backoffMaxUs: 1_000_000,
};
