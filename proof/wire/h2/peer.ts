import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { afterAll } from "vitest";

import { systemClock } from "../../../runtime/node/clock.ts";
import { peerPath } from "../peers.ts";

const clock = systemClock();

/** An event of h2's state machine, with what it says. */
export interface H2Event {
  readonly event: string;
  readonly stream_id?: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly size?: number;
  readonly data?: string;
  readonly error_code?: number;
  readonly last_stream_id?: number;
  readonly ping_data?: string;
  readonly changed_settings?: Readonly<Record<string, number>>;
  readonly message?: string;
}

interface Line extends Partial<H2Event> {
  readonly on?: number;
  readonly id?: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** The program that has all of a test file's connections: to start one takes longer than to test with it. */
class Program {
  readonly #process: ChildProcess;
  readonly #asked = new Map<number, (line: Line) => void>();
  readonly #listeners = new Map<number, (event: H2Event) => void>();
  #ids = 0;

  constructor() {
    this.#process = spawn("python3", [join(import.meta.dirname, "peer.py")], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, PYTHONPATH: peerPath("python") },
    });
    this.#process.stdin!.on("error", () => undefined);
    createInterface({ input: this.#process.stdout! }).on("line", (text) => {
      const line = JSON.parse(text) as Line;
      if (line.id !== undefined) this.#asked.get(line.id)?.(line);
      if (line.event !== undefined) this.#listeners.get(line.on!)?.({ ...line, event: line.event });
    });
    this.#process.once("exit", (code) => {
      for (const answer of this.#asked.values()) answer({ error: `peer.py ended with ${code}` });
    });
    // It ends with its input.
    afterAll(() => this.#process.stdin!.end());
  }

  /** A number for one more connection. */
  add(onEvent: (event: H2Event) => void): number {
    this.#listeners.set(++this.#ids, onEvent);
    return this.#ids;
  }

  async ask(on: number, name: string, input: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#ids;
    const line = await new Promise<Line>((resolve) => {
      this.#asked.set(id, resolve);
      this.#process.stdin!.write(`${JSON.stringify({ on, id, do: name, with: input })}\n`);
    });
    this.#asked.delete(id);
    if (line.error !== undefined) throw new Error(line.error);
    return line.answer;
  }
}

let program: Program | undefined;

/** PyPI's h2 at the other end of one connection (`peer.py`): it says what it understood, and what it finds wrong. */
export class H2Peer {
  readonly events: H2Event[] = [];
  /** Where it listens. */
  port = 0;
  readonly #program: Program;
  readonly #on: number;
  #pings = 0;
  #wake = (): void => undefined;

  private constructor() {
    this.#program = program ??= new Program();
    this.#on = this.#program.add((event) => {
      this.events.push(event);
      this.#wake();
    });
  }

  /** A client, connected to that port of this machine. `validates`: it refuses to send what is malformed. */
  static async client(port: number, { validates = true } = {}): Promise<H2Peer> {
    const peer = new H2Peer();
    await peer.do("connect", { port, validates });
    return peer;
  }

  /** A server that listens at `port`, for one connection. */
  static async server({ validates = true } = {}): Promise<H2Peer> {
    const peer = new H2Peer();
    peer.port = (await peer.do("listen", { validates })) as number;
    return peer;
  }

  /** Calls a method of `H2Connection`; rejects with what it raised. */
  do(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#program.ask(this.#on, name, input);
  }

  headers(stream: number, list: readonly string[], isEnd = false): Promise<unknown> {
    const headers = list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]]] : []));
    return this.do("send_headers", { stream_id: stream, headers, end_stream: isEnd });
  }

  data(stream: number, text: string, isEnd = false, more: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const data = { hex: Buffer.from(text).toString("hex") };
    return this.do("send_data", { stream_id: stream, data, end_stream: isEnd, ...more });
  }

  /** The first event, seen or to come, of this kind. */
  async event(name: string, isIt: (event: H2Event) => boolean = () => true): Promise<H2Event> {
    const find = (): H2Event | undefined => this.events.find((event) => event.event === name && isIt(event));
    await this.#until(() => find() !== undefined, name);
    return find()!;
  }

  /** What came with this stream's headers, or its trailers. */
  async fields(event: string, stream: number): Promise<string[]> {
    const { headers = [] } = await this.event(event, ({ stream_id }) => stream_id === stream);
    return headers.flat();
  }

  received(stream: number): number {
    return this.events.reduce((sum, { stream_id, size = 0 }) => sum + (stream_id === stream ? size : 0), 0);
  }

  /** Resolves when everything that was sent before has been dealt with. */
  async settled(): Promise<void> {
    const text = String(++this.#pings).padStart(8, "0");
    await this.do("ping", { opaque_data: { hex: Buffer.from(text).toString("hex") } });
    await this.event("PingAckReceived", ({ ping_data }) => ping_data === text);
  }

  /** What it found wrong with the other side. */
  get complaints(): readonly H2Event[] {
    return this.events.filter(({ event }) => event === "ProtocolError");
  }

  close(): void {
    void this.do("close", {}).catch(() => undefined);
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const untilUs = clock.nowUs() + 15_000_000;
    while (!isSo()) {
      // What it finds wrong explains all that doesn't come.
      const [trouble] = this.complaints;
      if (trouble !== undefined) throw new Error(`h2 waited for ${what} and found ${trouble.message}`);
      if (clock.nowUs() > untilUs) throw new Error(`no ${what} after ${JSON.stringify(this.events.slice(-5))}`);
      await new Promise<void>((resolve) => {
        const stop = clock.after(100_000, resolve);
        this.#wake = () => (stop(), resolve());
      });
    }
  }
}
