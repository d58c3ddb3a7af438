import type { Clock } from "../../ports/clock.ts";

/** Between two looks at what takes too long. */
const lookEachUs = 1_000_000;

/** While streams are open, a peer that is silent for `idleMs` is pinged, and given up after `timeoutMs` more. */
export interface Keepalive {
  readonly idleMs: number;
  readonly timeoutMs: number;
}

export interface PatienceOptions {
  readonly clock: Clock;
  readonly keepalive: Keepalive;
  /** What has begun has so much time to be whole; Infinity: somebody else limits it. */
  readonly partWithinUs: number;
}

export interface PatienceEvents {
  /** Somebody waits for something that the peer is to say. */
  isWaiting(): boolean;
  onSilence(): void;
  /** A part has begun and isn't whole in time. */
  onSlowPart(): void;
  /** The ping wasn't answered either. */
  onGivenUp(silentMs: number): void;
}

/** How long one end of a connection waits for its peer: for the rest of a part, and for a sign of life. It looks now and then. */
export class Patience {
  /** When the peer was last heard. */
  heardUs: number;
  readonly #clock: Clock;
  readonly #keepalive: Keepalive;
  readonly #partWithinUs: number;
  readonly #events: PatienceEvents;
  #pingedUs: number | undefined;
  #partSinceUs: number | undefined;
  #lookedUs: number;
  /** The last look came so late that it judged nobody. */
  #wasLate = false;
  #disarm: () => void;

  /** What comes first is a part already. */
  constructor({ clock, keepalive, partWithinUs }: PatienceOptions, events: PatienceEvents) {
    this.#clock = clock;
    this.#keepalive = keepalive;
    this.#partWithinUs = partWithinUs;
    this.#events = events;
    this.heardUs = this.#partSinceUs = this.#lookedUs = clock.nowUs();
    this.#disarm = clock.after(this.#periodUs, () => this.#look());
  }

  stop(): void {
    this.#disarm();
  }

  heard(): void {
    this.heardUs = this.#clock.nowUs();
    this.#pingedUs = undefined;
  }

  /** What was heard last began a part, or a part goes on. */
  partGoesOn(): void {
    this.#partSinceUs ??= this.heardUs;
  }

  /** However slowly its bytes came, it is whole; or nothing has begun. */
  partEnds(): void {
    this.#partSinceUs = undefined;
  }

  /** From one look to the next. */
  get #periodUs(): number {
    const { idleMs, timeoutMs } = this.#keepalive;
    return Math.min(lookEachUs, idleMs * 500, timeoutMs * 500);
  }

  #look(): void {
    const nowUs = this.#clock.nowUs();
    const { idleMs, timeoutMs } = this.#keepalive;
    // Where the whole process stood still, what its peers sent meanwhile waits in the sockets: they are read before the next look.
    this.#wasLate = !this.#wasLate && nowUs - this.#lookedUs > 3 * this.#periodUs;
    this.#lookedUs = nowUs;
    this.#disarm = this.#clock.after(this.#periodUs, () => this.#look());
    if (this.#wasLate) return;
    if (this.#partSinceUs !== undefined && nowUs - this.#partSinceUs > this.#partWithinUs) this.#events.onSlowPart();
    else if (this.#pingedUs !== undefined) {
      if (nowUs - this.#pingedUs > timeoutMs * 1000) this.#events.onGivenUp(idleMs + timeoutMs);
    } else if (nowUs - this.heardUs > idleMs * 1000 && this.#events.isWaiting()) {
      this.#pingedUs = nowUs;
      this.#events.onSilence();
    }
  }
}
