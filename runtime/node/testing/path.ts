import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * For tests: the way from one client to one server on this machine, as a listener that leads on. It can fall silent, break, refuse,
 * and lead elsewhere, while both ends stay as they are.
 */
export class TestPath {
  readonly #pairs = new Set<Pair>();
  readonly #server: Server;
  #port = 0;
  #target: () => string;
  #cut: Cut | undefined;
  #isRefusing = false;
  #delayMs = 0;
  /** How many connections were made over it. */
  accepted = 0;
  /** Hears what the client sends, before it is led on. */
  onSent: ((chunk: Buffer) => void) | undefined;
  /** The beginning of what the server said on the latest connection. */
  greeting: Buffer | undefined;

  private constructor(target: () => string) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#accept(near));
  }

  /** `target` is asked for each new connection: "host:port". */
  static async open(target: () => string): Promise<TestPath> {
    const path = new TestPath(target);
    await path.#listen();
    return path;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Nothing passes, in either direction or that of the replies, and nobody is told: the connection is silent. */
  cut(what: Cut = "everything"): void {
    this.#cut = what;
    for (const pair of this.#pairs) pair.hold(what);
  }

  /** What passes takes so much longer, in each direction. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Ends `cut`, `refuse` and `slow`; what was sent in the meantime arrives. */
  heal(): void {
    this.#delayMs = 0;
    this.#cut = undefined;
    this.#isRefusing = false;
    for (const pair of this.#pairs) pair.release();
  }

  /** Resets every connection. */
  reset(): void {
    for (const pair of [...this.#pairs]) pair.reset();
  }

  /** Resets every connection, and each new one at once. */
  refuse(): void {
    this.#isRefusing = true;
    this.reset();
  }

  close(): void {
    this.#server.close();
    this.reset();
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #accept(near: Socket): void {
    this.accepted++;
    if (this.#isRefusing) {
      near.resetAndDestroy();
      return;
    }
    const target = this.#target();
    const colon = target.lastIndexOf(":");
    const far = connect({
      host: target.slice(0, colon),
      port: Number(target.slice(colon + 1)),
      allowHalfOpen: true,
      noDelay: true,
    });
    near.on("data", (chunk) => this.onSent?.(chunk));
    const pair = new Pair(near, far, { delayMs: () => this.#delayMs, onGone: () => this.#pairs.delete(pair) });
    this.#pairs.add(pair);
    if (this.#cut !== undefined) pair.hold(this.#cut);
    far.once("data", (chunk) => (this.greeting = chunk));
  }
}

type Cut = "everything" | "replies";

/** One connection: what comes out of one half goes into the other. */
class Pair {
  readonly #halves: readonly [Socket, Socket];
  readonly #delayMs: () => number;
  readonly #onGone: () => void;
  #isHeld = false;
  #late: (() => void)[] = [];

  constructor(
    near: Socket,
    far: Socket,
    { delayMs, onGone }: { readonly delayMs: () => number; readonly onGone: () => void },
  ) {
    this.#halves = [near, far];
    this.#delayMs = delayMs;
    this.#onGone = onGone;
    this.#lead(near, far);
    this.#lead(far, near);
  }

  hold(what: Cut): void {
    const [near, far] = this.#halves;
    this.#isHeld = true;
    far.pause();
    if (what === "everything") near.pause();
  }

  release(): void {
    this.#isHeld = false;
    const late = this.#late;
    this.#late = [];
    for (const step of late) step();
    for (const half of this.#halves) half.resume();
  }

  reset(): void {
    for (const half of this.#halves) half.resetAndDestroy();
    this.#onGone();
  }

  #lead(from: Socket, to: Socket): void {
    const write = (chunk: Buffer): void => {
      if (!to.destroyed) to.write(chunk);
    };
    // Whatever is on its way stays in order, also when the way becomes quick again.
    let lastMs = 0;
    const inOrder = (step: () => void): void => {
      const nowMs = performance.now();
      lastMs = Math.max(lastMs, nowMs + this.#delayMs());
      if (lastMs <= nowMs) step();
      else setTimeout(step, lastMs - nowMs);
    };
    from.on("data", (chunk: Buffer) => inOrder(() => write(chunk)));
    from.on("end", () => this.#soon(() => inOrder(() => to.end())));
    from.on("error", () => this.#soon(() => this.reset()));
    from.on("close", () => {
      if (to.destroyed) this.#onGone();
      else this.#soon(() => to.destroy());
    });
  }

  /** The news that an end has gone doesn't pass a cut either. */
  #soon(step: () => void): void {
    if (this.#isHeld) this.#late.push(step);
    else step();
  }
}
