import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { RpcError, rpcCodes } from "../call/status.ts";
import { answerText, batchMax, failed, JsonRpcError, jsonRpcCodes, toRpc, type Params } from "./json-rpc-message.ts";

const called: string[] = [];

/** The methods that the specification's examples call. */
const procedures: Readonly<Record<string, (params: Params) => Promise<unknown>>> = {
  subtract: async (params) => {
    const named = params as { minuend: number; subtrahend: number };
    const [first, second] = Array.isArray(params) ? (params as number[]) : [named.minuend, named.subtrahend];
    return first! - second!;
  },
  sum: async (params) => (params as number[]).reduce((a, b) => a + b, 0),
  get_data: async () => ["hello", 5],
  update: async () => void called.push("update"),
  notify_hello: async () => void called.push("notify_hello"),
  notify_sum: async () => void called.push("notify_sum"),
  fail: async () => {
    throw new RpcError("no", { code: "ABORTED", trailers: new Map([["x-why", "because"]]) });
  },
};

const answer = (text: string) =>
  answerText(text, (name) => (Object.hasOwn(procedures, name) ? procedures[name] : undefined));

const invalid = { jsonrpc: "2.0", error: { code: -32600, message: "Invalid Request" }, id: null };

describe("every example of the specification (section 7):", () => {
  test.each<[string, string, unknown]>([
    [
      "positional params",
      '{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":1}',
      { jsonrpc: "2.0", result: 19, id: 1 },
    ],
    [
      "positional params, swapped",
      '{"jsonrpc":"2.0","method":"subtract","params":[23,42],"id":2}',
      { jsonrpc: "2.0", result: -19, id: 2 },
    ],
    [
      "named params",
      '{"jsonrpc":"2.0","method":"subtract","params":{"subtrahend":23,"minuend":42},"id":3}',
      { jsonrpc: "2.0", result: 19, id: 3 },
    ],
    [
      "named params, swapped",
      '{"jsonrpc":"2.0","method":"subtract","params":{"minuend":42,"subtrahend":23},"id":4}',
      { jsonrpc: "2.0", result: 19, id: 4 },
    ],
    ["a notification", '{"jsonrpc":"2.0","method":"update","params":[1,2,3,4,5]}', undefined],
    ["a notification of nobody", '{"jsonrpc":"2.0","method":"foobar"}', undefined],
    [
      "a method that isn't there",
      '{"jsonrpc":"2.0","method":"foobar","id":"1"}',
      { jsonrpc: "2.0", error: { code: -32601, message: "Method not found" }, id: "1" },
    ],
    [
      "no JSON",
      '{"jsonrpc":"2.0","method":"foobar,"params":"bar","baz]',
      { jsonrpc: "2.0", error: { code: -32700, message: "Parse error" }, id: null },
    ],
    ["no request", '{"jsonrpc":"2.0","method":1,"params":"bar"}', invalid],
    [
      "a batch that is no JSON",
      '[{"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":"1"},{"jsonrpc":"2.0","method"]',
      { jsonrpc: "2.0", error: { code: -32700, message: "Parse error" }, id: null },
    ],
    ["an empty batch", "[]", invalid],
    ["a batch of one that is no request", "[1]", [invalid]],
    ["a batch of what is no request", "[1,2,3]", [invalid, invalid, invalid]],
    [
      "a batch of everything",
      `[{"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":"1"},{"jsonrpc":"2.0","method":"notify_hello","params":[7]},
        {"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":"2"},{"foo":"boo"},
        {"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},{"jsonrpc":"2.0","method":"get_data","id":"9"}]`,
      [
        { jsonrpc: "2.0", result: 7, id: "1" },
        { jsonrpc: "2.0", result: 19, id: "2" },
        invalid,
        { jsonrpc: "2.0", error: { code: -32601, message: "Method not found" }, id: "5" },
        { jsonrpc: "2.0", result: ["hello", 5], id: "9" },
      ],
    ],
    [
      "a batch of notifications",
      '[{"jsonrpc":"2.0","method":"notify_sum","params":[1,2,4]},{"jsonrpc":"2.0","method":"notify_hello","params":[7]}]',
      undefined,
    ],
  ])("%s", async (_, text, expected) => {
    expect(await answer(text)).toEqual(expected);
  });
});

test("a notification is carried out, though nobody hears of it", async () => {
  called.length = 0;
  await answer('[{"jsonrpc":"2.0","method":"notify_sum"},{"jsonrpc":"2.0","method":"update"}]');
  expect(called).toEqual(["notify_sum", "update"]);
});

test("a status goes there and back: the number is in the specification's ranges, the code and trailers are kept", async () => {
  for (const code of rpcCodes) {
    if (code === "OK") continue;
    const reply = failed(1, new RpcError("why", { code, trailers: new Map([["x-why", "because"]]) }));
    const { error } = reply as { error: { code: number } };
    expect(
      error.code === -32600 ||
        (error.code >= -32603 && error.code <= -32601) ||
        (error.code >= -32099 && error.code <= -32000),
    ).toBe(true);
    const back = toRpc(JSON.parse(JSON.stringify(error)));
    expect([back.code, back.message, back.trailers.get("x-why")]).toEqual([code, "why", "because"]);
  }
});

test("the errors of others' servers are understood by their numbers", () => {
  const codeOf = (code: number): string => toRpc({ code, message: "" }).code;
  expect(codeOf(jsonRpcCodes.parseError)).toBe("INVALID_ARGUMENT");
  expect(codeOf(jsonRpcCodes.invalidRequest)).toBe("INVALID_ARGUMENT");
  expect(codeOf(jsonRpcCodes.methodNotFound)).toBe("UNIMPLEMENTED");
  expect(codeOf(jsonRpcCodes.invalidParams)).toBe("INVALID_ARGUMENT");
  expect(codeOf(jsonRpcCodes.internalError)).toBe("INTERNAL");
  expect(codeOf(-32014)).toBe("UNAVAILABLE");
  expect(codeOf(-32099)).toBe("UNKNOWN");
  expect(codeOf(7)).toBe("UNKNOWN");
});

test("what a procedure throws is an answer: its own error, a status, or a bug as UNKNOWN", async () => {
  const thrown = async (error: Error) =>
    answerText('{"jsonrpc":"2.0","method":"x","id":1}', () => () => Promise.reject(error));
  expect(await thrown(new JsonRpcError(7, "seven", [1]))).toMatchObject({
    error: { code: 7, message: "seven", data: [1] },
  });
  expect(await thrown(new RpcError("gone", { code: "UNAVAILABLE" }))).toMatchObject({ error: { code: -32014 } });
  expect(await thrown(new TypeError("oops"))).toMatchObject({ error: { code: -32002, data: { code: "UNKNOWN" } } });
});

test("a batch of 100,000 is one short error, and calls nobody", async () => {
  called.length = 0;
  const text = `[${Array.from({ length: 100_000 }, () => '{"jsonrpc":"2.0","method":"update","id":1}').join()}]`;
  expect(await answer(text)).toMatchObject({
    error: { code: -32600, data: `a batch has at most ${batchMax} requests, not 100000` },
  });
  expect(called).toEqual([]);
});

test("a batch whose answers grow too large is answered to its end, in bounded memory", async () => {
  const large = "x".repeat(1024 * 1024);
  const text = `[${Array.from({ length: 100 }, (_, id) => `{"jsonrpc":"2.0","method":"large","id":${id}}`).join()}]`;
  const replies = (await answerText(text, () => async () => large)) as readonly {
    readonly error?: { readonly code: number };
  }[];
  expect(replies).toHaveLength(100);
  const refused = replies.filter(({ error }) => error?.code === -32008);
  expect(refused.length).toBeGreaterThanOrEqual(100 - 17 - 32);
});

test("whatever the text is, there is an answer or nothing, never an exception", async () => {
  const nearly = fc.record(
    {
      jsonrpc: fc.constantFrom("2.0", "1.0", 2),
      method: fc.oneof(fc.constantFrom(...Object.keys(procedures), "__proto__", "constructor"), fc.jsonValue()),
      params: fc.jsonValue(),
      id: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const texts = fc.oneof(
    fc.string(),
    fc.json(),
    nearly.map((value) => JSON.stringify(value)),
    fc.array(nearly).map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const replies = await answer(text);
      for (const reply of replies === undefined ? [] : [replies].flat()) {
        expect(reply).toMatchObject({ jsonrpc: "2.0" });
        expect("result" in reply !== "error" in reply).toBe(true);
      }
    }),
    {
      numRuns: 500,
      examples: [["[".repeat(100_000)], ['{"__proto__":{"jsonrpc":"2.0","method":"sum","id":1}}'], ["\ud800"]],
    },
  );
});
