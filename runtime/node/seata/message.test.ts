import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { TransactionError, transactionExceptions } from "../../transactions/error.ts";
import { branchStatuses, branchTypes, globalStatuses } from "../../transactions/status.ts";
import { encodeFrame, FrameReader, frameKinds, seataCodec, type Frame } from "./frame.ts";
import { decodeMessage, encodeMessage, type Message } from "./message.ts";

const xid = "192.0.2.2:8091:6467720403699692336";

/** As a real Seata 2.0.0 sent and accepted them. */
const accepted: readonly (readonly [string, Frame["kind"], number, Message])[] = [
  [
    "dada010000003300100001000000000100650005322e302e30000464656d6f001064656661756c745f74785f67726f75700000",
    "request",
    1,
    {
      type: "RegisterTM",
      version: "2.0.0",
      applicationId: "demo",
      transactionServiceGroup: "default_tx_group",
      extraData: "",
    },
  ],
  [
    "dada010000001a0010010100000000010066010005322e302e30",
    "response",
    1,
    { type: "RegisterTMResponse", isIdentified: true, version: "2.0.0" },
  ],
  [
    "dada010000003f00100001000000000200670005322e302e30000464656d6f001064656661756c745f74785f67726f75700000000000086462312c74636331",
    "request",
    2,
    {
      ...{ type: "RegisterRM", version: "2.0.0", applicationId: "demo", transactionServiceGroup: "default_tx_group" },
      ...{ extraData: "", resourceIds: "db1,tcc1" },
    },
  ],
  [
    "dada010000001b00100001000000000400010000ea600003627579",
    "request",
    4,
    { type: "GlobalBegin", timeoutMs: 60_000, name: "buy" },
  ],
  [
    "dada010000003a0010010100000000040002010000223139322e302e322e323a383039313a363437373732303430333639393639323333360000",
    "response",
    4,
    {
      ...{ type: "GlobalBeginResponse", xid: "192.0.2.2:8091:6477720403699692336", extraData: "" },
      result: { isOk: true, message: "", exception: "Unknown" },
    },
  ],
  [
    "dada010000003800100001000000000e000900223139322e302e322e323a383039313a363437373732303430333639393639323333380000",
    "request",
    14,
    { type: "GlobalRollback", xid: "192.0.2.2:8091:6477720403699692338", extraData: "" },
  ],
  [
    "dada010000001500100101000000000e000a01000b",
    "response",
    14,
    { type: "GlobalRollbackResponse", result: ok(), status: "Rollbacked" },
  ],
  [
    "dada010000001600100101000000000d001601000000",
    "response",
    13,
    { type: "GlobalLockQueryResponse", result: ok(), isLockable: false },
  ],
  [
    "dada010000001c001001010000000005000c010059e3030b7ede4005",
    "response",
    5,
    { type: "BranchRegisterResponse", result: ok(), branchId: "6477024036996923397" },
  ],
];

describe("a frame that a real Seata sent or accepted", () => {
  test.each(accepted)("%s", (hex, kind, id, message) => {
    const bytes = Buffer.from(hex, "hex");
    const [frame] = framesOf([bytes]);
    expect(frame).toMatchObject({ kind, id, codec: seataCodec });
    expect(decodeMessage(frame!.body)).toEqual(message);
    expect(encodeFrame({ kind, id, codec: seataCodec, body: encodeMessage(message) }).toString("hex")).toBe(hex);
  });

  test("a lock conflict's text and code are read", () => {
    const hex =
      "dada010000009600100101000000000c000c0000785472616e73616374696f6e457863657074696f6e5b476c6f62616c206c6f636b2061637175697265206661696c656420786964203d203139322e302e322e323a383039313a36343737303234303336393936393233333939206272616e63684964203d20363437373032343033363939363932333430315d020000000000000000";
    const message = decodeMessage(framesOf([Buffer.from(hex, "hex")])[0]!.body);
    expect(message).toMatchObject({ result: { isOk: false, exception: "LockKeyConflict" }, branchId: "0" });
    expect(message).toMatchObject({
      result: { message: expect.stringContaining("Global lock acquire failed") as string },
    });
  });
});

test("every message comes back as it went", () => {
  fc.assert(
    fc.property(anyMessage(), (message) => {
      expect(decodeMessage(encodeMessage(message))).toEqual(message);
    }),
  );
});

test("frames come out whole and in order, however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(anyFrame(), { minLength: 1, maxLength: 8 }), fc.array(fc.nat(200)), (frames, cuts) => {
      const stream = Buffer.concat(frames.map(encodeFrame));
      const chunks: Buffer[] = [];
      let at = 0;
      for (const size of cuts) {
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      chunks.push(stream.subarray(at));
      expect(framesOf(chunks)).toEqual(frames);
    }),
  );
});

test("a head map is stepped over", () => {
  const map = Buffer.from("00016b000176", "hex");
  const plain = encodeFrame({ kind: "response", id: 7, codec: seataCodec, body: Buffer.from([1, 2]) });
  const frame = Buffer.concat([plain.subarray(0, 16), map, plain.subarray(16)]);
  frame.writeInt32BE(frame.length, 3);
  frame.writeInt16BE(16 + map.length, 7);
  expect(framesOf([frame])[0]!.body).toEqual(Buffer.from([1, 2]));
});

test("whatever comes, it is frames or a ProtocolError, and nothing is kept waiting by an impossible length", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
      expectOnlyProtocolErrors(() => framesOf(chunks.map((chunk) => Buffer.from(chunk))));
    }),
  );
});

test("a frame with bytes changed is another frame or a ProtocolError, never anything else", () => {
  fc.assert(
    fc.property(
      anyMessage(),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (message, changes) => {
        const bytes = encodeFrame({ kind: "response", id: 1, codec: seataCodec, body: encodeMessage(message) });
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        expectOnlyProtocolErrors(() => framesOf([bytes]).map(({ body }) => body.length > 0 && decodeMessage(body)));
      },
    ),
  );
});

test("a body that is cut short or goes on is refused", () => {
  fc.assert(
    fc.property(anyMessage(), fc.nat(), (message, at) => {
      const body = encodeMessage(message);
      expect(() => decodeMessage(body.subarray(0, at % body.length))).toThrow(TransactionError);
      expect(() => decodeMessage(Buffer.concat([body, Buffer.from([0])]))).toThrow(/1 bytes after a/);
    }),
  );
});

test.each([
  ["another protocol", Buffer.from("HTTP/1.1 400 Bad Request\r\n"), "the magic number 4854"],
  ["its first two bytes alone", Buffer.from("GE"), "the magic number 4745"],
  ["a negative length", headOf({ length: -1 }), "a frame of -1 bytes"],
  ["a length beyond every frame", headOf({ length: 8 * 1024 * 1024 + 1 }), "a frame of 8388609 bytes"],
  ["a head beyond the frame", headOf({ headLength: 17 }), "a head of 17 bytes"],
  ["a kind that doesn't exist", headOf({ kind: 9 }), "a message of kind 9"],
  ["a compressed body", headOf({ compressor: 1 }), "compressor 1"],
  ["another version", headOf({ version: 2 }), "version 2"],
])("%s is told at once", (_, bytes, message) => {
  expect(() => framesOf([bytes])).toThrow(message);
});

test("what has no place on the wire is refused before it is sent", () => {
  const begin =
    (timeoutMs: number, name = "buy") =>
    () =>
      encodeMessage({ type: "GlobalBegin", timeoutMs, name });
  expect(begin(-1)).toThrow("timeoutMs must be an integer from 0 to 2147483647 and not -1");
  expect(begin(0.5)).toThrow(TransactionError);
  expect(begin(60_000, "é".repeat(20_000))).toThrow("name has 40000 bytes, at most 32767");
  const report = { xid, status: "PhaseOne_Done", resourceId: "a", applicationData: "", branchType: "TCC" } as const;
  expect(() => encodeMessage({ type: "BranchReport", branchId: "no number", ...report })).toThrow("is no id");
  expect(() => encodeMessage({ type: "BranchReport", branchId: "9223372036854775808", ...report })).toThrow("is no id");
  const frame = { kind: "request", id: 1, codec: seataCodec } as const;
  expect(() => encodeFrame({ ...frame, body: Buffer.alloc(8 * 1024 * 1024) })).toThrow("a frame of 8388624 bytes");
});

function ok() {
  return { isOk: true, message: "", exception: "Unknown" } as const;
}

function framesOf(chunks: readonly Buffer[]): readonly Frame[] {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

function headOf(part: Partial<Record<"version" | "length" | "headLength" | "kind" | "compressor", number>>): Buffer {
  const head = encodeFrame({ kind: "request", id: 1, codec: seataCodec, body: Buffer.alloc(0) });
  if (part.version !== undefined) head.writeUInt8(part.version, 2);
  if (part.length !== undefined) head.writeInt32BE(part.length, 3);
  if (part.headLength !== undefined) head.writeInt16BE(part.headLength, 7);
  if (part.kind !== undefined) head.writeUInt8(part.kind, 9);
  if (part.compressor !== undefined) head.writeUInt8(part.compressor, 11);
  return head;
}

function expectOnlyProtocolErrors(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ name: "TransactionError", code: "ProtocolError" });
  }
}

function anyFrame(): fc.Arbitrary<Frame> {
  return fc.record({
    kind: fc.constantFrom(...frameKinds),
    id: fc.integer({ min: 0, max: 0x7fffffff }),
    codec: fc.constant(seataCodec),
    body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  });
}

function anyMessage(): fc.Arbitrary<Message> {
  const text = fc.string({ unit: "grapheme", maxLength: 40 });
  const id = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const branchType = fc.constantFrom(...branchTypes);
  const branchStatus = fc.constantFrom(...branchStatuses);
  const result = fc.oneof(
    fc.constant(ok()),
    fc.record({ isOk: fc.constant(false), message: text, exception: fc.constantFrom(...transactionExceptions) }),
  );
  const registration = { version: text, applicationId: text, transactionServiceGroup: text, extraData: text };
  const locks = { xid: text, branchType, resourceId: text, lockKey: text, applicationData: text };
  const phaseTwo = { xid: text, branchId: id, branchType, resourceId: text, applicationData: text };
  const of = <T extends string>(...types: readonly T[]) => ({ type: fc.constantFrom(...types) });
  return fc.oneof(
    fc.record({ ...of("RegisterTM"), ...registration }),
    fc.record({ ...of("RegisterRM"), ...registration, resourceIds: text }),
    fc.record({ ...of("RegisterTMResponse", "RegisterRMResponse"), isIdentified: fc.boolean(), version: text }),
    fc.record({ ...of("GlobalBegin"), timeoutMs: fc.nat(), name: text }),
    fc.record({ ...of("GlobalBeginResponse"), result, xid: text, extraData: text }),
    fc.record({ ...of("GlobalCommit", "GlobalRollback", "GlobalStatus"), xid: text, extraData: text }),
    fc.record({
      ...of("GlobalCommitResponse", "GlobalRollbackResponse", "GlobalStatusResponse"),
      result,
      status: fc.constantFrom(...globalStatuses),
    }),
    fc.record({ ...of("BranchRegister", "GlobalLockQuery"), ...locks }),
    fc.record({ ...of("BranchRegisterResponse"), result, branchId: id }),
    fc.record({ ...of("GlobalLockQueryResponse"), result, isLockable: fc.boolean() }),
    fc.record({ ...of("BranchReport"), ...phaseTwo, status: branchStatus }),
    fc.record({ ...of("BranchReportResponse"), result }),
    fc.record({ ...of("BranchCommit", "BranchRollback"), ...phaseTwo }),
    fc.record({
      ...of("BranchCommitResponse", "BranchRollbackResponse"),
      ...{ result, xid: text, branchId: id, status: branchStatus },
    }),
    fc.record({ ...of("UndoLogDelete"), branchType, resourceId: text, saveDays: fc.nat(0x7fff) }),
  );
}
