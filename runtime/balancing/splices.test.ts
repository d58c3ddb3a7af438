import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { endpoint } from "../fixtures.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { eligible } from "./eligible.ts";
import { Membership, type Member } from "./membership.ts";
import { splices } from "./splices.ts";

const everybody = Array.from({ length: 40 }, (_, index) =>
  endpoint({ id: `orders/${index}`, weight: index % 7 === 6 ? 0 : 1 }),
);
const someOf = fc.uniqueArray(fc.nat({ max: 39 })).map((indexes) => indexes.map((index) => everybody[index]!));
const inOrder = fc.subarray([...everybody]);

describe("splices", () => {
  test("make one list out of the other, whatever the two are", () => {
    const list = fc.oneof(someOf, inOrder);
    fc.assert(
      fc.property(list, list, (before, after) => {
        const made: Endpoint[] = [...before];
        for (const { at, removed, added } of splices(before, after)) {
          made.splice(at, removed, ...after.slice(at, at + added));
        }
        expect(made).toEqual(after);
      }),
    );
  });

  test("are as small as the changes, wherever these are", () => {
    const [a, b, c] = ["x/0", "x/1", "x/2"].map((id) => endpoint({ id }));
    const before = everybody.slice(0, 30);
    const after = [...before];
    after[3] = a!;
    after.splice(10, 1);
    after.splice(20, 0, b!, c!);
    expect(splices(before, after)).toEqual([
      { at: 3, removed: 1, added: 1 },
      { at: 10, removed: 1, added: 0 },
      { at: 20, removed: 0, added: 2 },
    ]);
    expect(splices(before, [...before])).toEqual([]);
    expect(splices([], before)).toEqual([{ at: 0, removed: 0, added: 30 }]);
    expect(splices(before, [])).toEqual([{ at: 0, removed: 30, added: 0 }]);
  });
});

describe("a membership", () => {
  test("becomes any list from any other, and nobody is in it twice", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(someOf, inOrder), { maxLength: 8 }), (lists) => {
        const present = new Set<Endpoint>();
        const membership = new Membership<Member>({
          enter: (entered) => {
            expect(present.has(entered)).toBe(false);
            present.add(entered);
            return { endpoint: entered };
          },
          leave: (left) => expect(present.delete(left.endpoint)).toBe(true),
        });
        for (const list of lists) {
          membership.become(list);
          expect(membership.members.map((member) => member.endpoint)).toEqual(list);
          expect(present).toEqual(new Set(list));
        }
      }),
    );
  });
});

test("eligible are those with a weight, whatever list came before", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(someOf, inOrder), { maxLength: 8 }), (lists) => {
      const among = eligible();
      for (const list of lists) expect(among(list)).toEqual(list.filter(({ weight }) => weight > 0));
    }),
  );
});
