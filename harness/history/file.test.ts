import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { HistoryError } from "./error.ts";
import { readHistory } from "./reader.ts";
import type { HistoryRecord } from "./record.ts";
import { openHistoryWriter } from "./writer.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flyball-history-"));
});
afterAll(() => rmSync(directory, { recursive: true }));
const fileOf = (name: string): string => join(directory, `${name}.ndjson`);

const run: HistoryRecord = {
  type: "run",
  version: 1,
  scenario: "node-loss",
  scenarioHash: "0",
  world: "sim",
  seed: 7,
  flyball: "0.1.0",
  node: "v24",
  nodes: [{ id: "orders/0", service: "orders", program: "provider", tag: undefined, weight: 100 }],
  durationUs: 8_000_000,
};
const callAt = (call: number): HistoryRecord[] => [
  {
    type: "event",
    node: "storefront/0",
    event: {
      type: "call.begin",
      atUs: call * 10,
      call,
      service: "orders",
      method: "/a/B",
      dueUs: call * 10,
      key: "用户",
    },
  },
  {
    type: "event",
    node: "storefront/0",
    event: {
      type: "call.end",
      atUs: call * 10 + 5,
      call,
      code: "OK",
      attempts: [{ instance: "orders/0", beginUs: call * 10, endUs: call * 10 + 5, code: "OK" }],
    },
  },
];
const metrics: HistoryRecord = {
  type: "metrics",
  atUs: 9_000_000,
  node: "storefront/0",
  scrapedUs: null,
  isWhole: false,
  calls: [{ service: "orders", code: "OK", count: 2 }],
  attempts: [],
  served: [],
};
const end: HistoryRecord = { type: "end", atUs: 8_000_000, outcome: "complete", digest: "abc" };

async function written(name: string, records: readonly HistoryRecord[]): Promise<string> {
  const path = fileOf(name);
  const writer = openHistoryWriter(path);
  for (const record of records) writer.write(record);
  await writer.close();
  return path;
}

describe("writing", () => {
  test("what is written is read", async () => {
    const history = await readHistory(await written("round-trip", [run, ...callAt(1), ...callAt(2), metrics, end]));
    expect(history.run).toEqual(JSON.parse(JSON.stringify(run)));
    expect(history.calls.map(({ call, key, endUs, code }) => [call, key, endUs, code])).toEqual([
      [1, "用户", 15, "OK"],
      [2, "用户", 25, "OK"],
    ]);
    expect(history.metrics).toEqual([metrics]);
    expect(history.end).toEqual(end);
  });

  test("the file grows while the run goes on", async () => {
    const path = fileOf("growing");
    const writer = openHistoryWriter(path);
    const sizes: number[] = [];
    const look = (): unknown => sizes.push(readFileSync(path).length);
    writer.write(run);
    look();
    for (let call = 0; call < 1_000; call++) for (const record of callAt(call)) writer.write(record);
    look();
    writer.write({ type: "harness.lag", atUs: 1, maxUs: 2 });
    look();
    await writer.close();
    expect(sizes[0]).toBe(JSON.stringify(run).length + 1);
    expect(sizes[1]).toBeGreaterThan(100_000);
    // Rare records bring along what waits: the file is never further behind than the last of them.
    expect(sizes[2]).toBe(readFileSync(path).length);
  });

  test.skipIf(!existsSync("/dev/full"))(
    "a full disk is told at the end, with what to do, and never throws before",
    async () => {
      const writer = openHistoryWriter("/dev/full");
      for (let call = 0; call < 1_000; call++) for (const record of callAt(call)) writer.write(record);
      writer.write(end);
      const error: unknown = await writer.close().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(HistoryError);
      expect(error).toMatchObject({
        code: "CANNOT_WRITE",
        message: expect.stringMatching(/^the history can't be written to \/dev\/full: ENOSPC/) as string,
        hint: "make room, or write elsewhere with --out DIR",
      });
    },
  );

  test("a place that can't be written is told at once", () => {
    expect(() => openHistoryWriter(join(directory, "nowhere", "history.ndjson"))).toThrow(HistoryError);
  });
});

describe("reading", () => {
  const errorOf = async (path: string): Promise<unknown> => readHistory(path).catch((reason: unknown) => reason);

  test("a last line that was cut off is left out, wherever it was cut", async () => {
    const path = await written("whole", [run, ...callAt(1), end]);
    const bytes = readFileSync(path);
    const withoutEnd = bytes.lastIndexOf("\n", bytes.length - 2) + 1;
    for (let length = withoutEnd; length < bytes.length - 1; length++) {
      writeFileSync(fileOf("cut"), bytes.subarray(0, length));
      const history = await readHistory(fileOf("cut"));
      expect(history.end).toBeUndefined();
      expect(history.calls).toHaveLength(1);
    }
  });

  test.each([
    ["no JSON", "garbage"],
    ["an empty line", ""],
    ["an unknown type", '{"type":"later"}'],
    ["an event without one", '{"type":"event","node":"a/0"}'],
    ["a number", "7"],
    ["a second run", JSON.stringify(run)],
  ])("names the line that is %s", async (_name, line) => {
    const path = await written("malformed", [run, ...callAt(1)]);
    appendFileSync(path, `${line}\n${JSON.stringify(end)}\n`);
    expect(await errorOf(path)).toMatchObject({
      code: "MALFORMED",
      message: `${path}:4 is no history record`,
      hint: "a run directory's history.ndjson is meant",
    });
  });

  test("a file that doesn't begin with a run is none of ours", async () => {
    for (const [name, text] of [
      ["empty", ""],
      ["other", "hello\n"],
      ["headless", `${JSON.stringify(end)}\n`],
    ] as const) {
      writeFileSync(fileOf(name), text);
      expect(await errorOf(fileOf(name)), name).toMatchObject({ code: "MALFORMED" });
    }
  });

  test("another version is refused, with both named", async () => {
    writeFileSync(fileOf("version"), `${JSON.stringify({ ...run, version: 2 })}\n`);
    expect(await errorOf(fileOf("version"))).toMatchObject({
      code: "WRONG_VERSION",
      message: `${fileOf("version")} has version 2; this Flyball reads version 1`,
    });
  });

  test("a file that isn't there, or is a directory, is an error and no crash", async () => {
    expect(await errorOf(fileOf("missing"))).toMatchObject({ code: "CANNOT_READ" });
    expect(await errorOf(directory)).toMatchObject({ code: "CANNOT_READ" });
  });
});
