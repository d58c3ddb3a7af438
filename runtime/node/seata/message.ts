import { TransactionError, transactionExceptions, type TransactionException } from "../../transactions/error.ts";
import {
  branchStatuses,
  branchTypes,
  globalStatuses,
  type BranchStatus,
  type BranchType,
  type GlobalStatus,
} from "../../transactions/status.ts";
import { garbage } from "./frame.ts";

/** How the coordinator's side, or a resource manager in phase two, says whether it worked. */
export interface Result {
  readonly isOk: boolean;
  /** Why not; empty when it worked. */
  readonly message: string;
  readonly exception: TransactionException;
}

/** The messages of Seata 2.0 that a client sends or gets, in its own codec (1). Ids are decimal: they don't fit a JavaScript number. */
export type Message =
  | ({ readonly type: "RegisterTM" } & Registration)
  | { readonly type: "RegisterTMResponse"; readonly isIdentified: boolean; readonly version: string }
  | ({ readonly type: "RegisterRM"; readonly resourceIds: string } & Registration)
  | { readonly type: "RegisterRMResponse"; readonly isIdentified: boolean; readonly version: string }
  | { readonly type: "GlobalBegin"; readonly timeoutMs: number; readonly name: string }
  | { readonly type: "GlobalBeginResponse"; readonly result: Result; readonly xid: string; readonly extraData: string }
  | {
      readonly type: "GlobalCommit" | "GlobalRollback" | "GlobalStatus";
      readonly xid: string;
      readonly extraData: string;
    }
  | {
      readonly type: "GlobalCommitResponse" | "GlobalRollbackResponse" | "GlobalStatusResponse";
      readonly result: Result;
      readonly status: GlobalStatus;
    }
  | ({ readonly type: "BranchRegister" | "GlobalLockQuery" } & LockRequest)
  | { readonly type: "BranchRegisterResponse"; readonly result: Result; readonly branchId: string }
  | { readonly type: "GlobalLockQueryResponse"; readonly result: Result; readonly isLockable: boolean }
  | {
      readonly type: "BranchReport";
      readonly xid: string;
      readonly branchId: string;
      readonly status: BranchStatus;
      readonly resourceId: string;
      readonly applicationData: string;
      readonly branchType: BranchType;
    }
  | { readonly type: "BranchReportResponse"; readonly result: Result }
  | {
      readonly type: "BranchCommit" | "BranchRollback";
      readonly xid: string;
      readonly branchId: string;
      readonly branchType: BranchType;
      readonly resourceId: string;
      readonly applicationData: string;
    }
  | {
      readonly type: "BranchCommitResponse" | "BranchRollbackResponse";
      readonly result: Result;
      readonly xid: string;
      readonly branchId: string;
      readonly status: BranchStatus;
    }
  | {
      readonly type: "UndoLogDelete";
      readonly branchType: BranchType;
      readonly resourceId: string;
      readonly saveDays: number;
    };

export type MessageType = Message["type"];

interface Registration {
  readonly version: string;
  readonly applicationId: string;
  readonly transactionServiceGroup: string;
  readonly extraData: string;
}

interface LockRequest {
  readonly xid: string;
  readonly branchType: BranchType;
  readonly resourceId: string;
  readonly lockKey: string;
  readonly applicationData: string;
}

/** A field's way onto the wire and back. */
type Kind =
  | "text16"
  | "text32"
  | "int32"
  | "int16"
  | "int64"
  | "bool8"
  | "bool16"
  | "result"
  | "branchType"
  | "branchStatus"
  | "globalStatus";

type Fields = Readonly<Record<string, Kind>>;

const registration: Fields = {
  version: "text16",
  applicationId: "text16",
  transactionServiceGroup: "text16",
  extraData: "text16",
};
const identified: Fields = { isIdentified: "bool8", version: "text16" };
const ofGlobal: Fields = { xid: "text16", extraData: "text16" };
const globalResponse: Fields = { result: "result", status: "globalStatus" };
const lockRequest: Fields = {
  xid: "text16",
  branchType: "branchType",
  resourceId: "text16",
  lockKey: "text32",
  applicationData: "text32",
};
const phaseTwo: Fields = {
  xid: "text16",
  branchId: "int64",
  branchType: "branchType",
  resourceId: "text16",
  applicationData: "text32",
};
const phaseTwoResponse: Fields = { result: "result", xid: "text16", branchId: "int64", status: "branchStatus" };

/** Each message's code, and its fields in the order of the wire. */
const layouts: Readonly<Record<MessageType, { readonly code: number; readonly fields: Fields }>> = {
  GlobalBegin: { code: 1, fields: { timeoutMs: "int32", name: "text16" } },
  GlobalBeginResponse: { code: 2, fields: { result: "result", xid: "text16", extraData: "text16" } },
  BranchCommit: { code: 3, fields: phaseTwo },
  BranchCommitResponse: { code: 4, fields: phaseTwoResponse },
  BranchRollback: { code: 5, fields: phaseTwo },
  BranchRollbackResponse: { code: 6, fields: phaseTwoResponse },
  GlobalCommit: { code: 7, fields: ofGlobal },
  GlobalCommitResponse: { code: 8, fields: globalResponse },
  GlobalRollback: { code: 9, fields: ofGlobal },
  GlobalRollbackResponse: { code: 10, fields: globalResponse },
  BranchRegister: { code: 11, fields: lockRequest },
  BranchRegisterResponse: { code: 12, fields: { result: "result", branchId: "int64" } },
  BranchReport: {
    code: 13,
    // prettier-ignore
    fields: { xid: "text16", branchId: "int64", status: "branchStatus", resourceId: "text16", applicationData: "text32", branchType: "branchType" },
  },
  BranchReportResponse: { code: 14, fields: { result: "result" } },
  GlobalStatus: { code: 15, fields: ofGlobal },
  GlobalStatusResponse: { code: 16, fields: globalResponse },
  GlobalLockQuery: { code: 21, fields: lockRequest },
  GlobalLockQueryResponse: { code: 22, fields: { result: "result", isLockable: "bool16" } },
  RegisterTM: { code: 101, fields: registration },
  RegisterTMResponse: { code: 102, fields: identified },
  RegisterRM: { code: 103, fields: { ...registration, resourceIds: "text32" } },
  RegisterRMResponse: { code: 104, fields: identified },
  UndoLogDelete: { code: 111, fields: { branchType: "branchType", resourceId: "text16", saveDays: "int16" } },
};

const typesByCode = new Map(Object.entries(layouts).map(([type, { code }]) => [code, type as MessageType]));

/** The body of a frame. Throws `InvalidArgument` for a text or number that has no place on the wire. */
export function encodeMessage(message: Message): Buffer {
  const { code, fields } = layouts[message.type];
  const parts: Buffer[] = [int(code, 2)];
  for (const [name, kind] of Object.entries(fields)) {
    parts.push(encodeField(kind, (message as unknown as Readonly<Record<string, unknown>>)[name], name));
  }
  return Buffer.concat(parts);
}

/** What a body says. Throws a `ProtocolError` when it is cut short, too long, or holds what doesn't exist. */
export function decodeMessage(body: Buffer): Message {
  const reader = new Reader(body);
  const code = reader.int(2);
  const type = typesByCode.get(code);
  if (type === undefined) throw garbage(`message type ${code}`);
  const message: Record<string, unknown> = { type };
  for (const [name, kind] of Object.entries(layouts[type].fields)) message[name] = decodeField(kind, reader);
  reader.end(type);
  return message as unknown as Message;
}

function encodeField(kind: Kind, value: unknown, name: string): Buffer {
  switch (kind) {
    case "text16":
      return text(value as string, 2, name);
    case "text32":
      return text(value as string, 4, name);
    case "int32":
      return int(checkedInteger(value as number, 0x7fffffff, name), 4);
    case "int16":
      return int(checkedInteger(value as number, 0x7fff, name), 2);
    case "int64":
      return long(value as string, name);
    case "bool8":
      return int(value === true ? 1 : 0, 1);
    case "bool16":
      return int(value === true ? 1 : 0, 2);
    case "branchType":
      return int(branchTypes.indexOf(value as BranchType), 1);
    case "branchStatus":
      return int(branchStatuses.indexOf(value as BranchStatus), 1);
    case "globalStatus":
      return int(globalStatuses.indexOf(value as GlobalStatus), 1);
    case "result":
      return encodeResult(value as Result);
  }
}

function decodeField(kind: Kind, reader: Reader): unknown {
  switch (kind) {
    case "text16":
      return reader.text(2);
    case "text32":
      return reader.text(4);
    case "int32":
      return reader.int(4);
    case "int16":
      return reader.int(2);
    case "int64":
      return reader.long();
    case "bool8":
      return reader.int(1) === 1;
    case "bool16":
      return reader.int(2) === 1;
    case "branchType":
      return reader.oneOf(branchTypes, kind);
    case "branchStatus":
      return reader.oneOf(branchStatuses, kind);
    case "globalStatus":
      return reader.oneOf(globalStatuses, kind);
    case "result": {
      const isOk = reader.int(1) === 1;
      const message = isOk ? "" : reader.text(2);
      return { isOk, message, exception: reader.oneOf(transactionExceptions, kind) } satisfies Result;
    }
  }
}

/** A message stands only beside a failure. */
function encodeResult({ isOk, message, exception }: Result): Buffer {
  return Buffer.concat([
    int(isOk ? 1 : 0, 1),
    // An error's text may be any length: what is too much of it goes.
    isOk ? Buffer.alloc(0) : text(message.slice(0, 4_000), 2, "message"),
    int(transactionExceptions.indexOf(exception), 1),
  ]);
}

function int(value: number, bytes: 1 | 2 | 4): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  buffer.writeIntBE(value, 0, bytes);
  return buffer;
}

function long(value: string, name: string): Buffer {
  if (!/^-?\d{1,19}$/.test(value) || BigInt.asIntN(64, BigInt(value)) !== BigInt(value)) {
    throw new TransactionError(`${name} ${value} is no id`, { code: "InvalidArgument" });
  }
  const buffer = Buffer.allocUnsafe(8);
  buffer.writeBigInt64BE(BigInt(value));
  return buffer;
}

function text(value: string, lengthBytes: 2 | 4, name: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  if (lengthBytes === 2 && bytes.length > 0x7fff) {
    throw new TransactionError(`${name} has ${bytes.length} bytes, at most ${0x7fff}`, { code: "InvalidArgument" });
  }
  return Buffer.concat([int(bytes.length, lengthBytes), bytes]);
}

function checkedInteger(value: number, max: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new TransactionError(`${name} must be an integer from 0 to ${max} and not ${value}`, {
    code: "InvalidArgument",
  });
}

/** Strict: what is cut short or isn't UTF-8 is no message. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int(bytes: 1 | 2 | 4): number {
    return this.#take(bytes).readIntBE(0, bytes);
  }

  long(): string {
    return this.#take(8).readBigInt64BE().toString();
  }

  /** -1 stands for null, which is as good as empty. */
  text(lengthBytes: 2 | 4): string {
    const length = this.int(lengthBytes);
    if (length < -1) throw garbage(`a text of ${length} bytes`);
    try {
      return utf8.decode(this.#take(Math.max(0, length)));
    } catch (error) {
      if (error instanceof TransactionError) throw error;
      throw garbage("a text that isn't UTF-8");
    }
  }

  oneOf<T>(known: readonly T[], what: string): T {
    const index = this.#take(1).readUInt8();
    const found = known[index];
    if (found === undefined) throw garbage(`${what} ${index}`);
    return found;
  }

  end(type: string): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw garbage(`${left} bytes after a ${type}`);
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw garbage("it is cut short");
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
