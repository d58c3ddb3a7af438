import type { MessageInitShape } from "@bufbuild/protobuf";

import { directStub } from "../call/direct.ts";
import { lastingStream } from "../call/lasting-stream.ts";
import type { Stub } from "../call/service.ts";
import { RpcError, type RpcCode } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { BranchRegistration, BranchReport, Coordinator, ResourceManager } from "../ports/coordinator.ts";
import type { Random } from "../ports/random.ts";
import type { Subscription } from "../ports/registry.ts";
import type { Transport } from "../ports/transport.ts";
import type { CallLog } from "../telemetry/call-log.ts";
import { toldOf, TransactionError, transactionCodes, type TransactionCode } from "./error.ts";
import { finishBranch } from "./phase-two.ts";
import {
  Coordinator as CoordinatorService,
  type BranchAnswerSchema,
  type PhaseTwo,
  type PhaseTwoBranch,
  type Refusal,
} from "./proto/coordinator_pb.ts";
import { branchTypes, globalStatuses, type GlobalStatus } from "./status.ts";

export interface EmbeddedCoordinatorOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly calls: CallLog;
  /** The coordinator's "host:port". */
  readonly address: string;
  /** Branches of a lost client are finished by another of the same application that has the resource. */
  readonly application: string;
  /** Who asks: "orders/0". */
  readonly client: string;
  /** How long a TM waits for an answer. Default 30 000, as Seata's. */
  readonly tmTimeoutMs?: number | undefined;
  /** How long an RM does. Default 15 000, as Seata's. */
  readonly rmTimeoutMs?: number | undefined;
  /** How long `registerResource` waits for the coordinator before it rejects `ConnectionLost`. Default 2000. */
  readonly connectWithinMs?: number | undefined;
}

/** So many requests with answers are on their way at most: one that gets no reply keeps the others from nothing. */
const answeringMax = 4;
/** Answers in one of them, at most. */
const answersMax = 1_000;
/** The coordinator promises a sign of life every 5 s. */
const silenceUs = 15_000_000;

/** A transaction manager and resource manager of the embedded coordinator, over any transport. */
export function createEmbeddedCoordinator(options: EmbeddedCoordinatorOptions): Coordinator {
  return new EmbeddedCoordinator(options);
}

class EmbeddedCoordinator implements Coordinator {
  readonly #options: EmbeddedCoordinatorOptions;
  readonly #stub: Stub<typeof CoordinatorService>;
  readonly #streams = new Map<string, Subscription>();
  readonly #keys: Keys;
  /** What became of branches, to be told. */
  readonly #answers: MessageInitShape<typeof BranchAnswerSchema>[] = [];
  /** Requests with answers that are on their way. */
  #answering = 0;
  #isClosed = false;

  constructor(options: EmbeddedCoordinatorOptions) {
    const { clock, transport, calls, address } = options;
    this.#keys = new Keys(options);
    this.#options = options;
    this.#stub = directStub(CoordinatorService, { clock, transport, calls, service: "coordinator", address });
  }

  async begin({ name, timeoutMs }: { readonly name: string; readonly timeoutMs: number }): Promise<string> {
    const { application } = this.#options;
    return (await this.#ask(() => this.#stub.begin({ name, timeoutMs, application }, this.#asTM))).xid;
  }

  commit(xid: string): Promise<GlobalStatus> {
    return this.#statusOf(this.#ask(() => this.#stub.commit({ xid }, this.#asTM)));
  }

  rollback(xid: string): Promise<GlobalStatus> {
    return this.#statusOf(this.#ask(() => this.#stub.rollback({ xid }, this.#asTM)));
  }

  status(xid: string): Promise<GlobalStatus> {
    return this.#statusOf(this.#ask(() => this.#stub.status({ xid }, this.#asTM)));
  }

  async registerBranch(branch: BranchRegistration): Promise<string> {
    const { application, client } = this.#options;
    const request = { ...branch, application, client, key: branch.key ?? this.#keys.next() };
    return (await this.#ask(() => this.#stub.registerBranch(request, this.#asRM))).branchId;
  }

  async reportBranch({ xid, branchId, status, applicationData }: BranchReport): Promise<void> {
    await this.#ask(() => this.#stub.reportBranch({ xid, branchId, status, applicationData }, this.#asRM));
  }

  async lockQuery({ xid, resourceId, lockKey }: Omit<BranchRegistration, "applicationData">): Promise<boolean> {
    return (await this.#ask(() => this.#stub.lockQuery({ xid, resourceId, lockKey }, this.#asRM))).lockable;
  }

  registerResource(resourceId: string, manager: ResourceManager): Promise<void> {
    const { clock, random, application, client, address, connectWithinMs = 2_000 } = this.#options;
    this.#streams.get(resourceId)?.close();
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(closed());
      const disarm = clock.after(connectWithinMs * 1000, () => reject(lost(`${address} doesn't answer`)));
      const stream = lastingStream<PhaseTwo>({
        clock,
        random: random.fork(`serve ${resourceId}`),
        service: "coordinator",
        silenceUs: () => silenceUs,
        open: (parent) => this.#stub.serve({ application, client, resourceId }, { parent }),
        onMessage: ({ branches }) => {
          disarm();
          resolve();
          for (const branch of branches) void this.#finish(manager, branch);
        },
      });
      this.#streams.set(resourceId, stream);
    });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    return Promise.resolve();
  }

  get #asTM() {
    return { timeoutMs: this.#options.tmTimeoutMs ?? 30_000 };
  }

  get #asRM() {
    return { timeoutMs: this.#options.rmTimeoutMs ?? 15_000 };
  }

  async #finish(manager: ResourceManager, branch: PhaseTwoBranch): Promise<void> {
    const { xid, branchId, resourceId, applicationData, commit } = branch;
    const branchType = branchTypes.find((known) => known === branch.branchType) ?? "AT";
    const decision = commit ? "commit" : "rollback";
    const status = await finishBranch(manager, decision, { xid, branchId, branchType, resourceId, applicationData });
    this.#answers.push({ branchId, commit, status });
    if (this.#answering < answeringMax) await this.#answer();
  }

  /** Of what is finished while the coordinator is being told of others, it is told together. */
  async #answer(): Promise<void> {
    this.#answering++;
    while (this.#answers.length > 0 && !this.#isClosed) {
      const answers = this.#answers.splice(0, answersMax);
      // An answer that gets lost is asked for again.
      await this.#stub.answer({ answers }, this.#asRM).catch(() => undefined);
    }
    this.#answering--;
  }

  async #ask<Reply extends { readonly refusal?: Refusal | undefined }>(request: () => Promise<Reply>): Promise<Reply> {
    if (this.#isClosed) throw closed();
    let reply: Reply;
    try {
      reply = await request();
    } catch (error) {
      throw this.#isClosed ? closed() : toTransactionError(error);
    }
    if (reply.refusal !== undefined) throw refused(reply.refusal);
    return reply;
  }

  async #statusOf(asked: Promise<{ readonly status: string }>): Promise<GlobalStatus> {
    const { status } = await asked;
    const known = globalStatuses.find((name) => name === status);
    if (known !== undefined) return known;
    throw new TransactionError(`the coordinator tells of a status "${status}"`, { code: "ProtocolError" });
  }
}

/** Names that no other client gives, nor this one in another life. */
class Keys {
  readonly #prefix: string;
  #count = 0;

  constructor({ client, clock, random }: Pick<EmbeddedCoordinatorOptions, "client" | "clock" | "random">) {
    this.#prefix = `${client} ${clock.wallMs()} ${random.fork("keys").uint32()}`;
  }

  next(): string {
    return `${this.#prefix} ${this.#count++}`;
  }
}

const codes: Partial<Record<RpcCode, TransactionCode>> = {
  UNAVAILABLE: "ConnectionLost",
  DEADLINE_EXCEEDED: "RequestTimeout",
  CANCELLED: "Closed",
};

function toTransactionError(error: unknown): TransactionError {
  if (!(error instanceof RpcError)) throw error;
  return new TransactionError(`the coordinator: ${error.message}`, {
    code: codes[error.code] ?? "ProtocolError",
    cause: error,
  });
}

function refused({ code, message }: Refusal): TransactionError {
  const known = transactionCodes.find((name) => name === code) ?? "Unknown";
  return toldOf(message, { code: known });
}

const closed = (): TransactionError =>
  new TransactionError("the client of the coordinator was closed", { code: "Closed" });

const lost = (why: string): TransactionError =>
  new TransactionError(`the connection to the coordinator is lost: ${why}`, { code: "ConnectionLost" });
