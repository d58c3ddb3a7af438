import type { Clock } from "../../runtime/ports/clock.ts";
import { retryable, type Decision } from "../../runtime/transactions/phase-two.ts";
import type { BranchStatus } from "../../runtime/transactions/status.ts";
import { Bell } from "../bell.ts";
import type { BranchSession } from "./session.ts";

/** A branch that a resource manager is to finish. */
export interface PhaseTwoRequest {
  readonly xid: string;
  readonly branch: BranchSession;
  readonly decision: Decision;
}

/** A resource manager's open stream for one resource. */
export interface Seat {
  readonly application: string;
  readonly client: string;
  readonly resourceId: string;
  /** Rings when there is something to send, or when it is time for a sign of life. */
  readonly bell: Bell;
  /** What is to be sent, each once. */
  take(): readonly PhaseTwoRequest[];
  close(): void;
}

interface Waiting {
  readonly decision: Decision;
  readonly seat: Seat;
  readonly settle: (status: BranchStatus) => void;
}

/** A stream is never silent for longer. */
const heartbeatUs = 5_000_000;

/**
 * The resource managers that are connected, and what they are asked. Who registered a branch is asked first, then anybody of the same
 * application who has the resource, and for AT, whose rollback is in the database, anybody at all.
 */
export class Participants {
  readonly #clock: Clock;
  readonly #timeoutUs: number;
  /** The latest last: a client that came back stands behind its own half-open stream. */
  #seats: (Seat & { readonly queue: PhaseTwoRequest[] })[] = [];
  /** By branch: one request at a time. */
  readonly #waiting = new Map<string, Waiting>();
  #disarm: () => void;

  constructor(options: { readonly clock: Clock; readonly timeoutMs: number }) {
    this.#clock = options.clock;
    this.#timeoutUs = options.timeoutMs * 1000;
    this.#disarm = this.#clock.after(heartbeatUs, () => this.#tick());
  }

  join(who: { readonly application: string; readonly client: string; readonly resourceId: string }): Seat {
    const queue: PhaseTwoRequest[] = [];
    const bell = new Bell();
    const seat = {
      ...who,
      queue,
      bell,
      take: () => queue.splice(0),
      close: () => {
        if (!this.#seats.includes(seat)) return;
        this.#seats = this.#seats.filter((other) => other !== seat);
        bell.close();
        // Whether they were done is unknown: they are asked again.
        for (const waiting of [...this.#waiting.values()]) {
          if (waiting.seat === seat) waiting.settle(retryable[waiting.decision]);
        }
      },
    };
    this.#seats.push(seat);
    // The first sign of life.
    bell.ring();
    return seat;
  }

  /** Resolves with what became of the branch: to be tried again, when nobody is there or nobody answers in time. */
  finish(request: PhaseTwoRequest): Promise<BranchStatus> {
    const { branch, decision } = request;
    const seat = this.#seatFor(branch);
    if (seat === undefined) return Promise.resolve(retryable[decision]);
    return new Promise((resolve) => {
      const settle = (status: BranchStatus): void => {
        disarm();
        this.#waiting.delete(branch.branchId);
        resolve(status);
      };
      const disarm = this.#clock.after(this.#timeoutUs, () => settle(retryable[decision]));
      this.#waiting.set(branch.branchId, { decision, seat, settle });
      seat.queue.push(request);
      seat.bell.ring();
    });
  }

  /** An answer; one that nobody waits for any more is let go. */
  answer(branchId: string, decision: Decision, status: BranchStatus): void {
    const waiting = this.#waiting.get(branchId);
    if (waiting?.decision === decision) waiting.settle(status);
  }

  /** Ends every stream. */
  stop(): void {
    this.#disarm();
    for (const seat of [...this.#seats]) seat.close();
  }

  #seatFor(branch: BranchSession): (Seat & { readonly queue: PhaseTwoRequest[] }) | undefined {
    const able = this.#seats.filter(({ resourceId }) => resourceId === branch.resourceId).reverse();
    return (
      able.find(({ client }) => client === branch.client) ??
      able.find(({ application }) => application === branch.application) ??
      (branch.branchType === "AT" ? able[0] : undefined)
    );
  }

  #tick(): void {
    for (const { bell } of this.#seats) bell.ring();
    this.#disarm = this.#clock.after(heartbeatUs, () => this.#tick());
  }
}
