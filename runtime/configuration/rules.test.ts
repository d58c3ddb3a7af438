import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ManualClock } from "../testing/clock.ts";
import type { ConfigCenter, ConfigDocument } from "../ports/config-center.ts";
import type { RuleChange } from "../telemetry/events.ts";
import { readDocument } from "./document.ts";
import { watchRule } from "./rules.ts";

/** A config centre that a test speaks for. */
class SpokenConfigCenter implements ConfigCenter {
  readonly watched: string[] = [];
  isOpen = false;
  #deliver: ((document: ConfigDocument) => void) | undefined;

  watch({ key, group }: { key: string; group: string }, listener: (document: ConfigDocument) => void) {
    this.watched.push(`${group}/${key}`);
    this.isOpen = true;
    this.#deliver = listener;
    return { close: () => void (this.isOpen = false) };
  }

  says(version: number, content: string | undefined): void {
    const exists = content !== undefined;
    this.#deliver!({ key: "orders.limit", group: "dubbo", content: content ?? "", version, exists });
  }

  get = () => Promise.reject(new Error("not asked"));
  publish = () => Promise.reject(new Error("not asked"));
  remove = () => Promise.reject(new Error("not asked"));
  close = () => Promise.resolve();
}

const policy = {
  parse: (content: string) => {
    const fields = readDocument(content).fields("limit");
    return { limit: fields.limit?.integer({ min: 0, max: 9 }) };
  },
};

function watch(parser: { parse(content: string): unknown } = policy) {
  const configCenter = new SpokenConfigCenter();
  const clock = new ManualClock();
  const events: RuleChange[] = [];
  const telemetry = { emit: (event: unknown) => void events.push(event as RuleChange) };
  let changes = 0;
  const rule = watchRule(parser, "orders.limit", { configCenter, telemetry, clock }, () => void changes++);
  return { rule, configCenter, clock, events, changes: () => changes };
}

describe("a watched rule", () => {
  test("applies each version, and says so", async () => {
    const { rule, configCenter, clock, events, changes } = watch();
    expect(configCenter.watched).toEqual(["dubbo/orders.limit"]);
    configCenter.says(1, "limit: 1");
    expect(rule.current).toEqual({ limit: 1 });
    await clock.advance(5);
    configCenter.says(2, "limit: 2");
    expect(rule.current).toEqual({ limit: 2 });
    expect(changes()).toBe(2);
    expect(events).toEqual([
      { type: "rule", atUs: 0, key: "orders.limit", version: 1, outcome: "applied" },
      { type: "rule", atUs: 5, key: "orders.limit", version: 2, outcome: "applied" },
    ]);
  });

  test("keeps the last known good when a document is malformed, and names line and reason", () => {
    const { rule, configCenter, events, changes } = watch();
    configCenter.says(1, "limit: 1");
    configCenter.says(2, "# tuned\nlimmit: 2");
    expect(rule.current).toEqual({ limit: 1 });
    expect(changes()).toBe(1);
    expect(events.at(-1)).toMatchObject({ version: 2, outcome: "rejected" });
    expect(events.at(-1)!.reason).toMatch(/^line 2: unknown key "limmit".*did you mean "limit"/);
    configCenter.says(3, "limit: 3");
    expect(rule.current).toEqual({ limit: 3 });
  });

  test("survives a parser that throws anything", () => {
    const { rule, configCenter, events } = watch({
      parse: () => {
        throw new TypeError("a bug of the policy");
      },
    });
    configCenter.says(1, "x");
    expect(rule.current).toBeUndefined();
    expect(events).toMatchObject([{ outcome: "rejected", reason: "a bug of the policy" }]);
  });

  test("ends with its document, the last known good of a malformed one included", () => {
    const { rule, configCenter, events, changes } = watch();
    configCenter.says(1, "limit: 1");
    configCenter.says(2, "limit: [");
    configCenter.says(3, undefined);
    expect(rule.current).toBeUndefined();
    expect(events.map(({ outcome }) => outcome)).toEqual(["applied", "rejected", "removed"]);
    expect(changes()).toBe(2);
    configCenter.says(4, undefined);
    expect(events).toHaveLength(3);
  });

  test("that was never published is known, changes nothing and reports nothing", async () => {
    const { rule, configCenter, events, changes } = watch();
    configCenter.says(0, undefined);
    await rule.known;
    expect([rule.current, events.length, changes()]).toEqual([undefined, 0, 0]);
    configCenter.says(1, "limit: 1");
    expect(rule.current).toEqual({ limit: 1 });
  });

  test("is known after the first word, even when that can't be read", async () => {
    const { rule, configCenter } = watch();
    configCenter.says(1, "limit: [");
    await rule.known;
    expect(rule.current).toBeUndefined();
  });

  test("hears nothing after it was closed, and leaves nobody waiting for it", async () => {
    const { rule, configCenter, events } = watch();
    rule.close();
    await rule.known;
    expect(configCenter.isOpen).toBe(false);
    configCenter.says(1, "limit: 1");
    expect(rule.current).toBeUndefined();
    expect(events).toEqual([]);
  });

  test("is what the newest version says, in whatever order and however often versions arrive", () => {
    const contents = ["limit: 1", "limit: 2", "limit: [", "limit: 99", undefined];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...contents), { minLength: 1 }),
        fc.infiniteStream(fc.nat()),
        (texts, draw) => {
          const { rule, configCenter, events } = watch();
          let newest = -1;
          let expected: unknown = undefined;
          for (let turn = 0; turn < 3 * texts.length; turn++) {
            const version = draw.next().value! % texts.length;
            const content = texts[version];
            configCenter.says(version, content);
            if (version <= newest) continue;
            newest = version;
            if (content === undefined) expected = undefined;
            else if (/^limit: \d$/.test(content)) expected = { limit: Number(content.slice(7)) };
          }
          expect(rule.current).toEqual(expected);
          const versions = events.map(({ version }) => version);
          expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
        },
      ),
    );
  });
});
