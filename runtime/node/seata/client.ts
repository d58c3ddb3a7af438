import { createBackoff, type Backoff } from "../../call/backoff.ts";
import type { Clock } from "../../ports/clock.ts";
import type { BranchRegistration, BranchReport, Coordinator, ResourceManager } from "../../ports/coordinator.ts";
import type { Random } from "../../ports/random.ts";
import { TransactionError } from "../../transactions/error.ts";
import { finishBranch } from "../../transactions/phase-two.ts";
import type { GlobalStatus } from "../../transactions/status.ts";
import { Connection, lost } from "./connection.ts";
import type { Message, MessageType, Result } from "./message.ts";

export interface SeataClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** "host:port" of the server. */
  readonly address: string;
  /** Where an address is really dialled; asked for each new connection. */
  readonly dial: (address: string) => string;
  /** Branches of a lost client are finished by another of the same application that has the resource. */
  readonly application: string;
  /** Default "default_tx_group". */
  readonly group?: string | undefined;
  /** How long a TM waits for an answer. Default 30 000 (Seata's `rpcTmRequestTimeout`). */
  readonly tmTimeoutMs?: number | undefined;
  /** How long an RM does. Default 15 000 (Seata's `rpcRmRequestTimeout`). */
  readonly rmTimeoutMs?: number | undefined;
  /** How long a request waits for a connection before it rejects `ConnectionLost`. Default 2000. */
  readonly connectWithinMs?: number | undefined;
}

/** What we say we are: servers refuse clients older than 0.7.1, and speak the protocol's version 1 with those before 2.0.1. */
const version = "2.0.0";

/**
 * A transaction manager and resource manager of a real Seata server, over one connection for both: it is opened by the first use, and
 * made again after a loss, with growing pauses, for as long as there are resources to answer for or somebody asks.
 */
export class SeataClient implements Coordinator {
  readonly #options: SeataClientOptions;
  readonly #backoff: Backoff;
  readonly #resources = new Map<string, ResourceManager>();
  /** The last attempt at a connection, open or not. */
  #connection: Connection | undefined;
  /** It has taken up this client. */
  #isRegistered = false;
  /** Why the last one ended. */
  #reason: TransactionError | undefined;
  #waiting: { readonly resolve: (connection: Connection) => void; readonly reject: (reason: Error) => void }[] = [];
  #disarmRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(options: SeataClientOptions) {
    this.#options = options;
    this.#backoff = createBackoff(options.random.fork("seata reconnect"));
  }

  async begin({ name, timeoutMs }: { readonly name: string; readonly timeoutMs: number }): Promise<string> {
    const answer = await this.#ask({ type: "GlobalBegin", timeoutMs, name }, "GlobalBeginResponse", this.#tmTimeoutMs);
    refuse(answer.result);
    return answer.xid;
  }

  commit(xid: string): Promise<GlobalStatus> {
    return this.#end({ type: "GlobalCommit", xid, extraData: "" }, "GlobalCommitResponse");
  }

  rollback(xid: string): Promise<GlobalStatus> {
    return this.#end({ type: "GlobalRollback", xid, extraData: "" }, "GlobalRollbackResponse");
  }

  status(xid: string): Promise<GlobalStatus> {
    return this.#end({ type: "GlobalStatus", xid, extraData: "" }, "GlobalStatusResponse");
  }

  async registerBranch(branch: BranchRegistration): Promise<string> {
    const request = { type: "BranchRegister", ...branch } as const;
    const answer = await this.#ask(request, "BranchRegisterResponse", this.#rmTimeoutMs);
    refuse(answer.result);
    return answer.branchId;
  }

  async reportBranch(report: BranchReport): Promise<void> {
    const answer = await this.#ask({ type: "BranchReport", ...report }, "BranchReportResponse", this.#rmTimeoutMs);
    refuse(answer.result);
  }

  async lockQuery(query: Omit<BranchRegistration, "applicationData">): Promise<boolean> {
    const request = { type: "GlobalLockQuery", ...query, applicationData: "" } as const;
    const answer = await this.#ask(request, "GlobalLockQueryResponse", this.#rmTimeoutMs);
    refuse(answer.result);
    return answer.isLockable;
  }

  async registerResource(resourceId: string, manager: ResourceManager): Promise<void> {
    if (resourceId === "" || resourceId.includes(",")) {
      throw new TransactionError(`"${resourceId}" is no resource id: Seata separates them by commas`, {
        code: "InvalidArgument",
      });
    }
    this.#resources.set(resourceId, manager);
    const connection = await this.#connected();
    // A connection that was made after the resource was added knows it; telling it twice does no harm.
    await this.#registerRM(connection);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#disarmRetry?.();
    const reason = new TransactionError("the client of the coordinator was closed", { code: "Closed" });
    this.#connection?.close(reason);
    this.#refuseWaiting(reason);
    return Promise.resolve();
  }

  get #tmTimeoutMs(): number {
    return this.#options.tmTimeoutMs ?? 30_000;
  }

  get #rmTimeoutMs(): number {
    return this.#options.rmTimeoutMs ?? 15_000;
  }

  /** A failure that comes with a state says how far it got; one without says nothing. */
  async #end(
    request: Extract<Message, { readonly xid: string; readonly extraData: string }>,
    response: "GlobalCommitResponse" | "GlobalRollbackResponse" | "GlobalStatusResponse",
  ): Promise<GlobalStatus> {
    const { result, status } = await this.#ask(request, response, this.#tmTimeoutMs);
    if (status === "UnKnown") refuse(result);
    return status;
  }

  async #ask<Type extends MessageType>(
    request: Message,
    response: Type,
    timeoutMs: number,
  ): Promise<Extract<Message, { readonly type: Type }>> {
    const connection = await this.#connected();
    const answer = await connection.request(request, timeoutMs);
    // The connection has checked that it answers the request.
    if (answer.type !== response) throw new TypeError(`${request.type} is answered by ${answer.type}`);
    return answer as Extract<Message, { readonly type: Type }>;
  }

  #connected(): Promise<Connection> {
    const connection = this.#connection;
    if (connection !== undefined && this.#isRegistered) return Promise.resolve(connection);
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        return reject(new TransactionError("the client of the coordinator was closed", { code: "Closed" }));
      }
      const { clock, connectWithinMs = 2_000, address } = this.#options;
      const waiting = {
        resolve: (made: Connection) => {
          disarm();
          resolve(made);
        },
        reject: (reason: Error) => {
          disarm();
          reject(reason);
        },
      };
      const disarm = clock.after(connectWithinMs * 1000, () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(this.#reason ?? lost(`${address} doesn't answer`));
      });
      this.#waiting.push(waiting);
      if (this.#connection === undefined && this.#disarmRetry === undefined) this.#connect();
    });
  }

  #connect(): void {
    const { clock, address, dial, connectWithinMs = 2_000 } = this.#options;
    const connection = new Connection({
      clock,
      target: dial(address),
      connectWithinUs: connectWithinMs * 1000,
      onOpen: () => void this.#register(connection).catch(() => undefined),
      onRequest: (message, id) => void this.#serve(connection, message, id),
      onClosed: (reason) => this.#lost(reason),
    });
    this.#connection = connection;
  }

  async #register(connection: Connection): Promise<void> {
    const { application, group = "default_tx_group" } = this.#options;
    const who = { version, applicationId: application, transactionServiceGroup: group, extraData: "" };
    try {
      const answer = await connection.request({ type: "RegisterTM", ...who }, this.#tmTimeoutMs);
      if (answer.type === "RegisterTMResponse" && !answer.isIdentified) throw this.#refused();
      if (this.#resources.size > 0) await this.#registerRM(connection);
    } catch (error) {
      connection.close(error instanceof TransactionError ? error : lost(String(error)));
      return;
    }
    this.#isRegistered = true;
    this.#reason = undefined;
    this.#backoff.reset();
    for (const { resolve } of this.#waiting.splice(0)) resolve(connection);
  }

  async #registerRM(connection: Connection): Promise<void> {
    const { application, group = "default_tx_group" } = this.#options;
    const who = { version, applicationId: application, transactionServiceGroup: group, extraData: "" };
    const resourceIds = [...this.#resources.keys()].join(",");
    const answer = await connection.request({ type: "RegisterRM", ...who, resourceIds }, this.#rmTimeoutMs);
    if (answer.type === "RegisterRMResponse" && !answer.isIdentified) throw this.#refused();
  }

  #refused(): TransactionError {
    return new TransactionError(`${this.#options.address} doesn't take this client`, {
      code: "RegistrationRefused",
      hint: "its log says why",
    });
  }

  async #serve(connection: Connection, request: Message, id: number): Promise<void> {
    // What else the server sends needs no answer (`UndoLogDelete`).
    if (request.type !== "BranchCommit" && request.type !== "BranchRollback") return;
    const { type, xid, branchId, branchType, resourceId, applicationData } = request;
    const branch = { xid, branchId, branchType, resourceId, applicationData };
    const decision = type === "BranchCommit" ? "commit" : "rollback";
    const status = await finishBranch(this.#resources.get(resourceId), decision, branch);
    const result = { isOk: true, message: "", exception: "Unknown" } as const;
    connection.answer(id, { type: `${type}Response`, result, xid, branchId, status });
  }

  #lost(reason: TransactionError): void {
    this.#connection = undefined;
    this.#isRegistered = false;
    this.#reason = reason;
    if (this.#isClosed) return;
    // Whom a server refuses, or can't be understood, is told at once; a lost one is waited for.
    if (reason.code !== "ConnectionLost") this.#refuseWaiting(reason);
    this.#disarmRetry = this.#options.clock.after(this.#backoff.nextUs(), () => {
      this.#disarmRetry = undefined;
      if (this.#resources.size > 0 || this.#waiting.length > 0) this.#connect();
    });
  }

  #refuseWaiting(reason: TransactionError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}

function refuse({ isOk, message, exception }: Result): void {
  if (isOk) return;
  throw new TransactionError(message === "" ? `the coordinator refuses: ${exception}` : message, {
    code: exception,
    ...(exception === "LockKeyConflict" && { hint: "another transaction has changed this row: wait and ask again" }),
  });
}
