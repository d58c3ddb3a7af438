import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { nearestName, readDocument, RuleError, type Field } from "./document.ts";

/** A rule with one field of each type. */
function read(content: string) {
  const fields = readDocument(content).fields("name", "isOn", "share", "count", "mode", "list", "label");
  return {
    name: fields.name?.text(),
    isOn: fields.isOn?.boolean(),
    share: fields.share?.number({ min: 0, max: 1 }),
    count: fields.count?.integer({ min: 0, max: 10 }),
    mode: fields.mode?.oneOf("strict", "lenient"),
    list: fields.list?.list().map((item: Field) => item.text()),
    label: fields.label?.label(),
  };
}

function refusal(content: string): RuleError {
  try {
    read(content);
  } catch (error) {
    if (error instanceof RuleError) return error;
    throw error;
  }
  throw new Error(`accepted: ${content}`);
}

describe("a rule document", () => {
  test("is read with its types", () => {
    const content = "name: a\nisOn: true\nshare: 0.5\ncount: 3\nmode: strict\nlist: [x, y]\nlabel: 1.10\n";
    expect(read(content)).toEqual({
      name: "a",
      isOn: true,
      share: 0.5,
      count: 3,
      mode: "strict",
      list: ["x", "y"],
      label: "1.10",
    });
  });

  test("may be JSON, have Windows line ends, comments, a byte order mark, and keys without values", () => {
    expect(read('{ "name": "a" }').name).toBe("a");
    expect(read("\ufeff# rule\r\nname: a # the name\r\nisOn:\r\n")).toMatchObject({ name: "a", isOn: undefined });
  });

  test.each([
    ["unknown key", "name: a\nisOm: true", "UNKNOWN_KEY", 2, /did you mean "isOn"\?/],
    ["key of every object", "constructor: a", "UNKNOWN_KEY", 1, /one of: name/],
    ["key of every object", "__proto__: a", "UNKNOWN_KEY", 1, /one of: name/],
    ["duplicate key", "name: a\nisOn: true\nname: b", "DUPLICATE_KEY", 3, undefined],
    ["tab", "list:\n\t- a", "SYNTAX", 2, /spaces/],
    ["open quote", "isOn: true\nname: 'a", "SYNTAX", 2, undefined],
    ["text for a boolean", "isOn: yes", "WRONG_TYPE", 1, /true or false/],
    ["number for text", "name: 12", "WRONG_TYPE", 1, /quotes/],
    ["list for text", "name: [a]", "WRONG_TYPE", 1, /text/],
    ["mapping for a list", "\n\nlist:\n  a: b", "WRONG_TYPE", 4, /list/],
    ["text for a number", "share: '0.5'", "WRONG_TYPE", 1, /number/],
    ["number out of range", "share: 1.5", "WRONG_VALUE", 1, /from 0 to 1/],
    ["not a number", "share: .nan", "WRONG_VALUE", 1, /from 0 to 1/],
    ["fraction for an integer", "count: 1.5", "WRONG_VALUE", 1, /whole/],
    ["word that isn't one of them", "mode: strikt", "WRONG_VALUE", 1, /did you mean "strict"\?/],
    ["empty document", "# nothing\n", "WRONG_TYPE", 1, /delete/],
    ["list at the top", "- a", "WRONG_TYPE", 1, /mapping/],
    ["second document", "name: a\n---\nname: b", "SYNTAX", 2, undefined],
    ["directive", "%YAML 1.1\n---\nisOn: yes", "SYNTAX", 1, undefined],
    ["anchor", "isOn: true\nname: &x a", "SYNTAX", 2, /write the value out/],
    ["tag", "name: !!binary aGk=", "SYNTAX", 1, undefined],
    ["merge key", "<<: { name: a }", "UNKNOWN_KEY", 1, undefined],
    ["key that isn't text", "? [a]\n: b", "SYNTAX", 1, undefined],
  ])("with %s is refused with its line: %j", (_what, content, code, line, hint) => {
    const error = refusal(content);
    expect(error).toMatchObject({ code, line });
    expect(error.message).toMatch(new RegExp(`^line ${line}: `));
    if (hint !== undefined) expect(error.hint).toMatch(hint);
  });

  test("over 256 KiB is refused unread", () => {
    expect(refusal(`name: ${"a".repeat(256 * 1024)}`).code).toBe("TOO_LARGE");
  });

  test("is quoted in part only, however long its words are", () => {
    expect(refusal(`${"n".repeat(100_000)}: a`).message.length).toBeLessThan(200);
    expect(refusal(`isOn: ${"n".repeat(100_000)}`).message.length).toBeLessThan(200);
    expect(refusal(`mode: ${"n".repeat(100_000)}`).message.length).toBeLessThan(200);
  });

  test("that is a bomb is refused, whatever the engine's stack", () => {
    const many = 30_000;
    const billion = ["a: &a [x,x]", ..."bcdefghij"].map((key, index, all) =>
      index === 0 ? key : `${key}: &${key} [*${all[index - 1]![0]},*${all[index - 1]![0]}]`,
    );
    for (const bomb of ["[".repeat(many), "- ".repeat(many), "? ".repeat(many), "{a: ".repeat(many)]) {
      expect(refusal(`list:\n  ${bomb}`).code).toBe("SYNTAX");
    }
    const steps = Array.from({ length: 500 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n");
    expect(refusal(steps)).toMatchObject({ code: "SYNTAX", line: 32 });
    expect(refusal(`list: [${"[".repeat(40)}${"]".repeat(40)}]`).code).toBe("SYNTAX");
    expect(() => read(billion.join("\n"))).toThrow(RuleError);
  });

  test("is never answered with anything but a value or a RuleError", () => {
    const fragment = fc.constantFrom(
      "name",
      "list",
      ": ",
      "- ",
      "[",
      "]",
      "{",
      "}",
      "'",
      '"',
      "\n",
      "  ",
      "\t",
      "&a",
      "*a",
    );
    const more = fc.constantFrom(
      "!!map",
      "|",
      ">",
      "#",
      "%",
      "---",
      "...",
      "?",
      ",",
      "true",
      "0x1",
      "\u0000",
      "é",
      "<<",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(fragment, more), { maxLength: 30 }), (parts) => {
        try {
          read(parts.join(""));
        } catch (error) {
          expect(error).toBeInstanceOf(RuleError);
          expect((error as RuleError).line).toBeGreaterThanOrEqual(1);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test("the nearest name is the one with the fewest edits, if it is near at all", () => {
  expect(nearestName("precent", ["tag", "percent"])).toBe("percent");
  expect(nearestName("HASHKEY", ["hashKey", "salt"])).toBe("hashKey");
  expect(nearestName("banana", ["hashKey", "salt"])).toBeUndefined();
  expect(nearestName("x".repeat(100_000), ["hashKey"])).toBeUndefined();
});
