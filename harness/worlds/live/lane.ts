import type { Socket } from "node:net";

import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import { sampleAddedLatency } from "../latency.ts";
import type { LinkShape } from "../world.ts";

/** TCP's first retransmission timeout (RFC 6298 asks for a second at least; Linux takes 200 ms). */
const retransmissionUs = 200_000;
/** A segment gets through after so many losses at the latest: 12.6 s, longer than anybody waits. */
const lossesMax = 6;
/** What a lane holds before it stops reading: then the sender's own buffers fill up, and in the end it waits. */
const queueBytesMax = 512 * 1024;
/** With limited bandwidth, bytes leave in slices of about this long. */
const sliceUs = 10_000;

/** One direction of a proxied connection: reads from one socket, writes to the other what the link's shape lets through. */
export class Lane {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #isForward: boolean;
  readonly #source: Socket;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #sink: Socket | undefined;
  #shape: LinkShape;
  /** Nothing sent later arrives earlier. */
  #lastDueUs = 0;
  /** The limited link is busy until then. */
  #busyUntilUs = 0;
  /** Since when the first byte in the queue has been kept back by a cut. */
  #cutSinceUs: number | undefined;
  #isSinkFull = false;
  #cancelTimer: (() => void) | undefined;

  constructor(
    ports: { readonly clock: Clock; readonly random: Random },
    options: { readonly isForward: boolean; readonly source: Socket; readonly shape: LinkShape },
  ) {
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#isForward = options.isForward;
    this.#source = options.source;
    this.#shape = options.shape;
    this.#source.on("data", (bytes) => this.#push({ kind: "bytes", bytes, dueUs: 0 }));
    this.#source.on("end", () => this.#push({ kind: "end", dueUs: 0 }));
    this.#source.on("error", () => this.#push({ kind: "reset", dueUs: 0 }));
    this.#source.resume();
  }

  /** The other side is connected: what came so far is sent now, as if the handshake had just ended. */
  open(sink: Socket): void {
    this.#sink = sink;
    sink.on("drain", () => {
      this.#isSinkFull = false;
      this.#pump();
    });
    for (const item of this.#queue) this.#schedule(item);
    this.#pump();
  }

  setShape(shape: LinkShape): void {
    this.#shape = shape;
    this.#pump();
  }

  close(): void {
    this.#cancelTimer?.();
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#source.destroy();
  }

  #push(item: Item): void {
    this.#schedule(item);
    this.#queue.push(item);
    if (item.kind === "bytes") this.#queuedBytes += item.bytes.length;
    this.#pump();
    if (this.#queuedBytes >= queueBytesMax) this.#source.pause();
  }

  #schedule(item: Item): void {
    const { latency, lossProbability, slowCloseUs } = this.#shape;
    let dueUs = this.#clock.nowUs();
    if (latency !== undefined) dueUs += sampleAddedLatency(latency, this.#random);
    if (lossProbability !== undefined) dueUs += sampleLossDelay(lossProbability, this.#random);
    if (slowCloseUs !== undefined && item.kind !== "bytes") dueUs += slowCloseUs;
    item.dueUs = this.#lastDueUs = Math.max(dueUs, this.#lastDueUs);
  }

  /** Sends what is due, then waits for whatever keeps the rest back. */
  #pump(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const sink = this.#sink;
    if (sink === undefined) return;
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      const nowUs = this.#clock.nowUs();
      const readyUs = this.#readyUs(item, nowUs);
      if (readyUs > nowUs) {
        if (readyUs < Infinity) this.#cancelTimer = this.#clock.after(readyUs - nowUs, () => this.#pump());
        return;
      }
      if (sink.destroyed) {
        // Nobody is there any more: keep reading, so that the source's own end is seen.
        this.#drop(item);
      } else if (item.kind === "end") {
        this.#drop(item);
        sink.end();
      } else if (item.kind === "reset") {
        this.#drop(item);
        sink.resetAndDestroy();
      } else if (this.#isSinkFull) {
        return;
      } else {
        this.#isSinkFull = !sink.write(this.#take(item, nowUs));
      }
    }
  }

  /** When the next bytes may leave; Infinity while they are cut off. */
  #readyUs(item: Item, nowUs: number): number {
    if (isCut(this.#shape, this.#isForward)) {
      if (item.dueUs > nowUs) return item.dueUs;
      this.#cutSinceUs ??= nowUs;
      return Infinity;
    }
    let readyUs = item.dueUs;
    if (this.#cutSinceUs !== undefined) {
      // A sender whose bytes got lost learns of the healed link when it sends them again.
      item.dueUs = readyUs = nextRetransmissionUs(this.#cutSinceUs, nowUs);
      this.#lastDueUs = Math.max(this.#lastDueUs, readyUs);
      this.#cutSinceUs = undefined;
    }
    const rate = this.#shape.bandwidthBytesPerSecond;
    if (rate === undefined || item.kind !== "bytes") return readyUs;
    this.#busyUntilUs = Math.max(this.#busyUntilUs, readyUs);
    return Math.ceil(this.#busyUntilUs + (sliceOf(item.bytes, rate) * 1e6) / rate);
  }

  /** The bytes that may leave now; the item stays with what is left of it. */
  #take(item: Item & { readonly kind: "bytes" }, nowUs: number): Buffer {
    const { bytes } = item;
    const rate = this.#shape.bandwidthBytesPerSecond;
    const length =
      rate === undefined
        ? bytes.length
        : Math.min(bytes.length, Math.floor(((nowUs - this.#busyUntilUs) * rate) / 1e6));
    if (rate !== undefined) this.#busyUntilUs += (length * 1e6) / rate;
    if (length === bytes.length) {
      this.#drop(item);
    } else {
      item.bytes = bytes.subarray(length);
      this.#released(length);
    }
    return bytes.subarray(0, length);
  }

  #drop(item: Item): void {
    this.#queue.shift();
    if (item.kind === "bytes") this.#released(item.bytes.length);
  }

  #released(bytes: number): void {
    this.#queuedBytes -= bytes;
    if (this.#queuedBytes < queueBytesMax / 2 && this.#source.isPaused()) this.#source.resume();
  }
}

type Item =
  | { readonly kind: "bytes"; bytes: Buffer; dueUs: number }
  | { readonly kind: "end"; dueUs: number }
  | { readonly kind: "reset"; dueUs: number };

/** Whether bytes in this direction get nowhere. */
export function isCut({ cut }: LinkShape, isForward: boolean): boolean {
  return cut !== undefined && (cut === "both" || (cut === "forward") === isForward);
}

/** When something that was first sent at `sentUs`, and since then again and again in vain, is sent next. */
export function nextRetransmissionUs(sentUs: number, nowUs: number): number {
  let atUs = sentUs;
  for (let waitUs = retransmissionUs; atUs < nowUs; waitUs *= 2) atUs += waitUs;
  return atUs;
}

/** What losses cost: 200 ms, then twice as much each time. */
function sampleLossDelay(probability: number, random: Random): number {
  let delayUs = 0;
  for (let lost = 0; lost < lossesMax && random.float() < probability; lost++) delayUs += retransmissionUs * 2 ** lost;
  return delayUs;
}

/** The fewest bytes worth a timer: all, or as many as leave in a slice's time. */
const sliceOf = (bytes: Buffer, rate: number): number =>
  Math.min(bytes.length, Math.max(1, Math.floor((rate * sliceUs) / 1e6)));
