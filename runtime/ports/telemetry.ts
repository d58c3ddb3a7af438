import type { RuntimeEvent } from "../telemetry/events.ts";

/** Where the runtime reports what happened. Emitting never throws and never waits. */
export interface Telemetry {
  emit(event: RuntimeEvent): void;
}

/** Telemetry for those who don't want any. */
export const silent: Telemetry = { emit: () => undefined };
