import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";

/**
 * Events in which every instance has its node's name. Who meets an instance that somebody else's program registered knows its
 * address only, and such a program knows all others by theirs.
 */
export function withNames(
  events: readonly RuntimeEvent[],
  names: ReadonlyMap<string, string>,
): readonly RuntimeEvent[] {
  const nameOf = (instance: string): string => names.get(instance) ?? instance;
  return events.map((event) => {
    switch (event.type) {
      case "call.end":
        return {
          ...event,
          attempts: event.attempts.map((attempt) => ({ ...attempt, instance: nameOf(attempt.instance) })),
        };
      case "membership":
        return {
          ...event,
          instances: event.instances.map(nameOf),
          removed: event.removed.map(({ id, reason }) => ({ id: nameOf(id), reason })),
        };
      case "call.begin":
      case "rule":
      case "registry":
      case "node":
      case "lag":
        return event;
    }
  });
}
