import type { Call, Cancellable } from "../../runtime/call/call.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import { Codel, type CodelSettings } from "../../runtime/protection/codel.ts";
import { Rejection } from "../../runtime/protection/outcome.ts";

export const queueOrders = ["fifo", "lifo", "adaptive"] as const;

export interface WorkQueueOptions {
  /** Calls worked on at a time. Default: no limit. */
  readonly capacity?: number | undefined;
  /** Calls that may wait; one more is refused RESOURCE_EXHAUSTED. Default 1000. */
  readonly queueMax?: number | undefined;
  /**
   * Whose turn is next: who came first, who came last, or (`adaptive`) who came first until somebody has been waiting for all of the
   * last 100 ms, and who came last from then on (Maurer, "Fail at Scale", 2015): whoever waits longest has the least time left.
   * Default "fifo".
   */
  readonly order?: (typeof queueOrders)[number] | undefined;
  /** Refuses those whose turn comes too late. Default: nobody is. */
  readonly codel?: CodelSettings | undefined;
}

/** How long somebody has to have been waiting until the last come are the first. */
const standingUs = 100_000;

/**
 * `capacity` workers and those who wait for one: first come, first served, an M/M/c queue when arrivals and work are drawn that way.
 * A call holds one worker from its turn until its work has ended or nobody waits for it any more, whichever is first; one that is
 * cancelled before its turn, or whose deadline has passed, leaves its place and is never started. Who is refused gets RESOURCE_EXHAUSTED.
 */
export class WorkQueue {
  readonly #capacity: number;
  readonly #queueMax: number;
  #running = 0;
  #waiting = 0;
  #first: Place | undefined;
  #last: Place | undefined;

  readonly #order: (typeof queueOrders)[number];
  readonly #codel: Codel | undefined;
  /** Since when somebody waits, without a pause. */
  #standsUs = 0;

  constructor({ capacity = Infinity, queueMax = 1000, order = "fifo", codel }: WorkQueueOptions = {}) {
    this.#capacity = capacity;
    this.#queueMax = queueMax;
    this.#order = order;
    this.#codel = codel && new Codel(codel);
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
      return Promise.reject(refusal(`${this.#waiting} calls are waiting already`));
    }
    const turn = new Turn(this, call, work);
    if (isFree) {
      this.#running++;
      if (!turn.start()) this.#running--;
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
    const { nowUs } = turn;
    for (let next = this.#next(nowUs); next !== undefined; next = this.#next(nowUs)) {
      this.#remove(next);
      const waitedUs = nowUs - next.queuedUs;
      if (this.#codel?.drops(waitedUs, nowUs, this.#waiting === 0) === true) {
        next.refuse(refusal(`it has waited for ${waitedUs / 1000} ms, and all others for too long as well`));
      } else if (next.start()) return;
    }
    this.#running--;
  }

  #next(nowUs: number): Place | undefined {
    const isLastFirst = this.#order === "lifo" || (this.#order === "adaptive" && nowUs - this.#standsUs >= standingUs);
    return isLastFirst ? this.#last : this.#first;
  }

  #append(turn: Place): void {
    if (this.#waiting === 0) this.#standsUs = turn.queuedUs;
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
  readonly queuedUs: number;
  readonly nowUs: number;
  before: Place | undefined;
  after: Place | undefined;
  /** Its turn; false when it is too late for it. */
  start(): boolean;
  refuse(error: RpcError): void;
}

/** One call's time in the queue and with a worker. */
class Turn<T> implements Place, Cancellable {
  readonly result: Promise<T>;
  readonly queuedUs: number;
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
    this.queuedUs = call.clock.nowUs();
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    call.attach(this);
  }

  get nowUs(): number {
    return this.#call.clock.nowUs();
  }

  start(): boolean {
    // A busy process may not have heard its timer yet.
    if (this.#call.remainingUs() <= 0) {
      this.refuse(new RpcError("its turn came after its deadline", { code: "DEADLINE_EXCEEDED" }));
      return false;
    }
    this.hasBegun = true;
    this.#call.workUs = this.nowUs;
    this.#work().then(
      (value) => {
        if (this.#leave()) this.#resolve(value);
      },
      (error: unknown) => {
        if (this.#leave()) this.#reject(toRpcError(error));
      },
    );
    return true;
  }

  /** Takes it off a queue that it has left already. */
  refuse(error: RpcError): void {
    this.#isOver = true;
    this.#call.detach(this);
    this.#reject(error);
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

const refusal = (why: string): Rejection =>
  new Rejection(why, {
    policy: "queue",
    code: "RESOURCE_EXHAUSTED",
    hint: "send less, raise capacity or queueMax, or look at the queue's order and codel",
  });
