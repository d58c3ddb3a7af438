import type { Clock } from "../../../runtime/ports/clock.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { ForeignPlan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import type { OwnedNode } from "../live/fleet.ts";
import type { Ending, FleetNode, WorldOptions } from "../world.ts";
import type { Container } from "./container.ts";
import type { Sandbox } from "./invocation.ts";
import { NodeContainer } from "./node-container.ts";

export interface ForeignNodeOptions {
  readonly id: string;
  /** Where others reach it, when it listens. */
  readonly address: string;
  readonly plan: ForeignPlan;
  readonly container: Container;
  /** Its place on the network. */
  readonly sandbox: Pick<Sandbox, "isListening" | "disconnect" | "reconnect">;
  readonly clock: Clock;
  readonly world: Pick<WorldOptions, "onEvents" | "onGap" | "onExit">;
  /** Hears that its life has ended, or that it serves again: the proxies that lead to it follow. */
  readonly onAlive: (isAlive: boolean) => Promise<void>;
}

const lookAgainAfterUs = 50_000;
const collectWithinUs = 5_000_000;

/**
 * A program that Flyball didn't write, in a container. It knows nothing of the control protocol: it is started when the fleet
 * gets ready, stopped by SIGTERM, and ready when it listens or prints a line. Only a consumer is talked to: it takes `drive` and
 * `collect` and answers with `records`, `driven` and `collected`, as lines of JSON on its standard input and output.
 */
export class ForeignNode implements OwnedNode {
  readonly id: string;
  readonly address: string;
  readonly #options: ForeignNodeOptions;
  #state: FleetNode["state"] = "stopped";
  #life: NodeContainer | undefined;
  #isReady = false;
  #isClosed = false;
  #isDisconnected = false;
  /** When the last event happened that was handed over; undefined for one that reports nothing. */
  #heardUs: number | undefined;

  constructor(options: ForeignNodeOptions) {
    this.id = options.id;
    this.address = options.address;
    this.#options = options;
  }

  get state(): FleetNode["state"] {
    return this.#state;
  }

  /** Nothing runs yet: it registers as soon as it runs, and the infrastructure isn't ready. */
  async start(): Promise<void> {}

  /** Whoever ends by itself before it is ready is started once more, as a supervisor would: many give up when something comes late. */
  async go(): Promise<void> {
    const gaveUp = await this.#begin();
    if (gaveUp === undefined) return;
    const gaveUpAgain = this.#isClosed ? gaveUp : await this.#begin();
    if (gaveUpAgain !== undefined) throw gaveUpAgain;
  }

  /** Begins a life, and waits until it is ready; answers why it ended before it was. */
  async #begin(): Promise<WorldError | undefined> {
    if (this.#isClosed) {
      throw new WorldError(`the run is over: ${this.id} isn't started again`, { code: "UNAVAILABLE" });
    }
    const { plan, container } = this.#options;
    let isSaid = false;
    this.#isReady = false;
    this.#state = "running";
    const life = await NodeContainer.start(container, {
      node: this.id,
      onRecords: (events) => this.#hear(events),
      onLine: (line) => (isSaid ||= plan.readyLine !== undefined && line.includes(plan.readyLine)),
    });
    this.#life = life;
    void life.ended.then((ending) => this.#ended(life, ending));
    if (this.#isClosed) {
      await this.#end(life);
      return undefined;
    }
    const gaveUp = await this.#untilReady(
      life,
      plan.readyLine === undefined ? () => this.#options.sandbox.isListening() : async () => isSaid,
    );
    if (gaveUp !== undefined) return gaveUp;
    this.#isReady = true;
    await this.#options.onAlive(true);
    return undefined;
  }

  async kill(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#state = "killed";
    life.kill();
    await this.#gone(life);
  }

  async pause(): Promise<void> {
    if (this.#life === undefined || this.#state !== "running") return;
    this.#state = "paused";
    await this.#life.pause();
  }

  async resume(): Promise<void> {
    if (this.#state !== "paused") return;
    this.#state = "running";
    await this.#life?.resume();
  }

  async stop(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    await this.resume();
    this.#state = "stopped";
    await this.#options.container.kill("SIGTERM");
    if (!(await this.#within(this.#options.plan.stopWithinUs, life.ended))) life.kill();
    await this.#gone(life);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.go();
  }

  async disconnect(): Promise<void> {
    this.#isDisconnected = true;
    await this.#options.sandbox.disconnect();
  }

  async reconnect(): Promise<void> {
    if (!this.#isDisconnected) return;
    this.#isDisconnected = false;
    await this.#options.sandbox.reconnect();
  }

  async slow(): Promise<void> {
    throw new WorldError(`${this.id} is no program of ours: it can't be told to be slow`, { code: "UNAVAILABLE" });
  }

  async disturb(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: it can't be broken from inside`, { code: "UNAVAILABLE" });
  }

  async skew(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: its clock is this machine's`, { code: "UNAVAILABLE" });
  }

  async breakDisk(): Promise<never> {
    throw new WorldError(`${this.id} is no program of ours: its disk can't be broken`, { code: "UNAVAILABLE" });
  }

  async drive(drive: Parameters<FleetNode["drive"]>[0]): Promise<void> {
    this.#heardUs = this.#options.clock.nowUs();
    // A dead node makes no more calls: that is an end too.
    await this.#life?.ask({ type: "drive", drive }, "driven").catch(() => undefined);
  }

  /** It has no ear for it. */
  annotate(): void {}

  /** It takes part in no transaction. */
  async audit(): Promise<void> {}

  async collect(): Promise<void> {
    const life = this.#life;
    // Who has never been driven has nothing to tell, and may not know the word.
    if (life === undefined || this.#state !== "running" || this.#heardUs === undefined) return;
    const collected = life.ask({ type: "collect" }, "collected").catch(() => undefined);
    await this.#within(collectWithinUs, collected);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const life = this.#life;
    // The place is the next run's.
    await this.reconnect();
    if (life === undefined) return;
    await this.resume();
    await this.#end(life);
  }

  abandon(): void {
    if (this.#life === undefined) return;
    this.#state = "killed";
    this.#life.kill();
  }

  async #end(life: NodeContainer): Promise<void> {
    this.#state = "stopped";
    life.kill();
    await this.#gone(life);
  }

  /** Answers why it ended before it was ready; throws where it took too long. */
  async #untilReady(life: NodeContainer, isReady: () => Promise<boolean>): Promise<WorldError | undefined> {
    const { clock, plan } = this.#options;
    const untilUs = clock.nowUs() + plan.readyWithinUs;
    while (!(await isReady())) {
      const isGone = this.#life !== life;
      if (!isGone && clock.nowUs() < untilUs) {
        await clock.sleep(lookAgainAfterUs);
        continue;
      }
      const printed = life.lastWords;
      if (!isGone) await this.kill();
      const why = isGone ? "ended before it was ready" : `wasn't ready within ${plan.readyWithinUs / 1e6} s`;
      const awaited =
        plan.readyLine === undefined ? "nothing listens at its port" : `it never printed "${plan.readyLine}"`;
      const error = new WorldError(
        `node ${this.id} ${why}: ${awaited}${printed === "" ? "" : `; the last that it printed:\n${printed}`}`,
        { code: "NOT_READY", hint: "its environment may lack something: the scenario's fleet says what it is given" },
      );
      if (isGone) return error;
      throw error;
    }
    return undefined;
  }

  async #within(us: number, happened: Promise<unknown>): Promise<boolean> {
    let cancel = (): void => undefined;
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#options.clock.after(us, () => resolve(false));
    });
    try {
      return await Promise.race([happened.then(() => true), late]);
    } finally {
      cancel();
    }
  }

  async #gone(life: NodeContainer): Promise<void> {
    await life.ended;
    await this.#options.onAlive(false);
  }

  #hear(events: readonly RuntimeEvent[]): void {
    this.#heardUs = events.at(-1)?.atUs ?? this.#heardUs;
    this.#options.world.onEvents(this.id, events);
  }

  #ended(life: NodeContainer, ending: Ending): void {
    if (life !== this.#life) return;
    const { clock, world, onAlive } = this.#options;
    const isExpected = this.#state === "stopped" || this.#state === "killed";
    this.#life = undefined;
    if (this.#state !== "stopped" && this.#heardUs !== undefined) world.onGap(this.id, this.#heardUs, clock.nowUs());
    if (isExpected) return;
    this.#state = "killed";
    if (this.#isReady) world.onExit(this.id, clock.nowUs(), ending);
    void onAlive(false);
  }
}
