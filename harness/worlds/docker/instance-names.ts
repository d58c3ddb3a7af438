import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { attribute, type Span } from "../../../runtime/telemetry/span.ts";

/** Node ids by address. */
export type Names = ReadonlyMap<string, string>;

/**
 * Events in which every instance has its node's name. Who meets an instance that somebody else's program registered knows its
 * address only, and such a program knows all others by theirs.
 */
export function withNames(events: readonly RuntimeEvent[], names: Names): readonly RuntimeEvent[] {
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
      case "push":
        return { ...event, instances: event.instances.map(nameOf) };
      case "span":
        return withName(event, names);
      case "policy":
        return event.instance === undefined ? event : { ...event, instance: nameOf(event.instance) };
      case "task.begin":
      case "task.end":
      case "access":
      case "call.begin":
      case "rule":
      case "registry":
      case "node":
      case "lag":
      case "document":
      case "clock":
      case "disk":
      case "transaction":
      case "span.export":
        return event;
    }
  });
}

/** The same for one span, wherever it comes from. */
export function withName<Given extends Span>(span: Given, names: Names): Given {
  const name = names.get(String(span.attributes[attribute.instance]));
  if (name === undefined) return span;
  return { ...span, attributes: { ...span.attributes, [attribute.instance]: name } };
}
