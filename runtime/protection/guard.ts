import type { Endpoint } from "../discovery/endpoint.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { PolicyChange } from "../telemetry/events.ts";
import type { Outcome, Rejection } from "./outcome.ts";

/** Told once how an attempt that was let through has ended, and how long it took. */
export type Permit = (outcome: Outcome, tookUs: number) => void;

/** A policy that watches every attempt at one service, and may keep attempts back. */
export interface Guard {
  /** Why nothing is sent to the service now, whichever instance is picked; undefined: something may be. Changes nothing. */
  closed?(): Rejection | undefined;
  /** Whether the instance is out of the choice now. Changes nothing. */
  avoids?(endpoint: Endpoint): boolean;
  /** Why a call fails whose every instance is avoided. Absent: then nobody is avoided (Envoy calls that panic). */
  allAvoided?(): Rejection;
  /** Lets an attempt through, or keeps it back. */
  admit?(endpoint: Endpoint): Permit | Rejection;
  /** The service's instances are these now. */
  update?(endpoints: readonly Endpoint[]): void;
  /** Lets go of timers and connections. */
  close(): void;
}

/** What guards are made of. */
export interface GuardPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** The service that is called: "orders". */
  readonly service: string;
  readonly report: Report;
  /** `avoids` may answer otherwise from now on. */
  readonly onChange: () => void;
}

/** Says that a policy came into another state; once for each change. */
export type Report = (change: Omit<PolicyChange, "type" | "atUs" | "service">) => void;

export function reporter(ports: {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly service: string;
}): Report {
  const { clock, telemetry, service } = ports;
  return (change) => telemetry.emit({ type: "policy", atUs: clock.nowUs(), service, ...change });
}
