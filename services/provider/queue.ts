import type { Call } from "../../runtime/call/call.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";

export interface WorkQueueOptions {
  /** Calls worked on at a time. Default: no limit. */
  readonly capacity?: number | undefined;
  /** Calls that may wait; one more is refused RESOURCE_EXHAUSTED. Default 1000. */
  readonly queueMax?: number | undefined;
}

/**
 * First come, first served, by `capacity` workers: an M/M/c queue when arrivals and work are drawn that way. A call holds one
 * worker from its turn until its work has ended or nobody waits for it any more, whichever is first; one that is cancelled
 * before its turn leaves its place and is never started.
 */
export class WorkQueue {
  readonly #capacity: number;
  readonly #queueMax: number;
  #running = 0;
  #waiting = 0;
  #first: Ticket | undefined;
  #last: Ticket | undefined;

  constructor({ capacity = Infinity, queueMax = 1000 }: WorkQueueOptions = {}) {
    this.#capacity = capacity;
    this.#queueMax = queueMax;
  }

  /** Calls that are worked on. */
  get running(): number {
    return this.#running;
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Does `work` when it is the call's turn, and settles as it does. Rejects with RESOURCE_EXHAUSTED when too many wait, and with
   * the call's own reason as soon as it is cancelled.
   */
  run<T>(call: Call, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let ticket: Ticket | undefined;
      let isOver = false;
      const leave = (): boolean => {
        if (isOver) return false;
        isOver = true;
        forget();
        if (ticket === undefined) this.#free();
        else this.#remove(ticket);
        return true;
      };
      const start = (): void => {
        ticket = undefined;
        work().then(
          (value) => {
            if (leave()) resolve(value);
          },
          (error: unknown) => {
            if (leave()) reject(toRpcError(error));
          },
        );
      };

      if (call.reason !== undefined) {
        reject(call.reason);
        return;
      }
      const isFree = this.#running < this.#capacity;
      if (!isFree && this.#waiting >= this.#queueMax) {
        reject(
          new RpcError(`${this.#waiting} calls are waiting already`, {
            code: "RESOURCE_EXHAUSTED",
            hint: "raise queueMax or capacity, or send less",
          }),
        );
        return;
      }
      const forget = call.onCancel((reason) => {
        if (leave()) reject(reason);
      });
      if (isFree) {
        this.#running++;
        start();
      } else {
        ticket = this.#append(start);
      }
    });
  }

  /** A worker has become free: the next one's turn. */
  #free(): void {
    const next = this.#first;
    if (next === undefined) {
      this.#running--;
      return;
    }
    this.#remove(next);
    next.start();
  }

  #append(start: () => void): Ticket {
    const ticket: Ticket = { start, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = ticket;
    else this.#last.after = ticket;
    this.#last = ticket;
    this.#waiting++;
    return ticket;
  }

  #remove({ before, after }: Ticket): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#waiting--;
  }
}

/** A place in the queue: a doubly linked list, so that leaving from the middle costs nothing. */
interface Ticket {
  readonly start: () => void;
  before: Ticket | undefined;
  after: Ticket | undefined;
}
