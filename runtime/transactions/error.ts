/**
 * What a coordinator refuses by name; an index is the number on Seata's wire (`io.seata.core.exception.TransactionExceptionCode`,
 * 2.0, whose `FailedLockGlobalTranscation` is spelt right here).
 */
export const transactionExceptions = [
  "Unknown",
  "BeginFailed",
  "LockKeyConflict",
  "IO",
  "BranchRollbackFailed_Retriable",
  "BranchRollbackFailed_Unretriable",
  "BranchRegisterFailed",
  "BranchReportFailed",
  "LockableCheckFailed",
  "BranchTransactionNotExist",
  "GlobalTransactionNotExist",
  "GlobalTransactionNotActive",
  "GlobalTransactionStatusInvalid",
  "FailedToSendBranchCommitRequest",
  "FailedToSendBranchRollbackRequest",
  "FailedToAddBranch",
  "FailedLockGlobalTransaction",
  "FailedWriteSession",
  "FailedStore",
  "NotRaftLeader",
  "LockKeyConflictFailFast",
  "TransactionTimeout",
  "CommitHeuristic",
  "Broken",
] as const;

export type TransactionException = (typeof transactionExceptions)[number];

/**
 * What our side says beside them. `ConnectionLost`, `RequestTimeout`: whether the coordinator did it is unknown. `RegistrationRefused`: it
 * doesn't take this client. `ProtocolError`: what came can't be understood. `Closed`: the client was. `OutcomeUnknown`: a commit or
 * rollback whose end nobody can tell. `InvalidPropagation`: there is a transaction where there mustn't be one, or none where there must.
 * `Suspended`: a first phase that comes after its rollback. `InvalidArgument`: it makes no sense, or can't be sent. `LockWaitTimeout`:
 * another transaction held a row for longer than this one wanted to wait. `UnsupportedStatement`: AT can't undo it, so it wasn't done.
 * `DirtyWrite`: somebody has changed what is to be undone. `DamagedUndoLog`: what is to be undone can't be read. `UndoRefused`: the
 * database doesn't allow it.
 */
const ownCodes = [
  "ConnectionLost",
  "RequestTimeout",
  "RegistrationRefused",
  "ProtocolError",
  "Closed",
  "OutcomeUnknown",
  "InvalidPropagation",
  "Suspended",
  "InvalidArgument",
  "LockWaitTimeout",
  "UnsupportedStatement",
  "DirtyWrite",
  "DamagedUndoLog",
  "UndoRefused",
] as const;

export const transactionCodes = [...transactionExceptions, ...ownCodes] as const;

export type TransactionCode = (typeof transactionCodes)[number];

/** A step of a distributed transaction that didn't happen, or may not have. Branch on `code`; `message` is for people. */
export class TransactionError extends Error {
  override readonly name = "TransactionError";
  readonly code: TransactionCode;
  /** What to do next. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: TransactionCode; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
  }
}

/**
 * An error that somebody else made and told of: where this side has read it says nothing, and finding that out is most of what an error
 * costs. Engines without `stackTraceLimit` find it out all the same.
 */
export function toldOf(...said: ConstructorParameters<typeof TransactionError>): TransactionError {
  const engine: ErrorConstructor & { stackTraceLimit?: number } = Error;
  const { stackTraceLimit } = engine;
  if (stackTraceLimit === undefined) return new TransactionError(...said);
  engine.stackTraceLimit = 0;
  try {
    return new TransactionError(...said);
  } finally {
    engine.stackTraceLimit = stackTraceLimit;
  }
}

/** Whether the coordinator may have done what it was asked although nobody heard of it: asking again is safe, guessing isn't. */
export function isUncertain(error: unknown): boolean {
  return error instanceof TransactionError && (error.code === "ConnectionLost" || error.code === "RequestTimeout");
}
