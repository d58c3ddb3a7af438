import type { Call, Cancellable } from "../../runtime/call/call.ts";
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
  #first: Place | undefined;
  #last: Place | undefined;

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
    if (call.reason !== undefined) return Promise.reject(call.reason);
    const isFree = this.#running < this.#capacity;
    if (!isFree && this.#waiting >= this.#queueMax) {
      return Promise.reject(
        new RpcError(`${this.#waiting} calls are waiting already`, {
          code: "RESOURCE_EXHAUSTED",
          hint: "raise queueMax or capacity, or send less",
        }),
      );
    }
    const turn = new Turn(this, call, work);
    if (isFree) {
      this.#running++;
      turn.start();
    } else {
      this.#append(turn);
    }
    return turn.result;
  }

  /** For `Turn`: it is over, whether it was its turn or not. */
  left(turn: Place): void {
    if (!turn.hasBegun) {
      this.#remove(turn);
      return;
    }
    // A worker has become free: the next one's turn.
    const next = this.#first;
    if (next === undefined) {
      this.#running--;
      return;
    }
    this.#remove(next);
    next.start();
  }

  #append(turn: Place): void {
    turn.before = this.#last;
    if (this.#last === undefined) this.#first = turn;
    else this.#last.after = turn;
    this.#last = turn;
    this.#waiting++;
  }

  #remove(turn: Place): void {
    const { before, after } = turn;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    // Links to neighbours would keep them alive as long as this turn.
    turn.before = undefined;
    turn.after = undefined;
    this.#waiting--;
  }
}

/** A place in the queue: a doubly linked list, so that leaving from the middle costs nothing. */
interface Place {
  readonly hasBegun: boolean;
  before: Place | undefined;
  after: Place | undefined;
  start(): void;
}

/** One call's time in the queue and with a worker. */
class Turn<T> implements Place, Cancellable {
  readonly result: Promise<T>;
  hasBegun = false;
  before: Place | undefined;
  after: Place | undefined;
  readonly #queue: WorkQueue;
  readonly #call: Call;
  readonly #work: () => Promise<T>;
  #isOver = false;
  #resolve!: (value: T) => void;
  #reject!: (error: RpcError) => void;

  constructor(queue: WorkQueue, call: Call, work: () => Promise<T>) {
    this.#queue = queue;
    this.#call = call;
    this.#work = work;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    call.attach(this);
  }

  start(): void {
    this.hasBegun = true;
    this.#work().then(
      (value) => {
        if (this.#leave()) this.#resolve(value);
      },
      (error: unknown) => {
        if (this.#leave()) this.#reject(toRpcError(error));
      },
    );
  }

  cancel(reason: RpcError): void {
    if (this.#leave()) this.#reject(reason);
  }

  #leave(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#call.detach(this);
    this.#queue.left(this);
    return true;
  }
}
