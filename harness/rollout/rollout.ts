import type { Clock } from "../../runtime/ports/clock.ts";
import type { CallRecord } from "../history/history.ts";
import type { HistoryRecord, RolloutRecord } from "../history/record.ts";
import type { Plan, StepPlan } from "../scenario/plan.ts";
import { Sprt } from "./sprt.ts";

export type RolloutPlan = Extract<StepPlan["what"], { kind: "rollout" }>;

/** What a rollout may do, and hears. */
export interface RolloutPorts {
  readonly clock: Clock;
  readonly originUs: number;
  readonly publish: (key: string, content: string) => Promise<void>;
  readonly write: (record: HistoryRecord) => void;
  /** Tells of every call of the load as it ends; the answer ends that. */
  readonly onCallEnd: (listener: (call: CallRecord) => void) => () => void;
}

/** Between two looks at the calls that have ended: decisions are made here, not in the middle of somebody's report. */
const lookEveryUs = 50_000;

/**
 * Raises a canary step by step and watches its calls with a sequential test. Only first attempts count, and only those that reached the
 * canary: what retries make of them is no news of the version. As soon as they are too bad, 0 % is published and nothing more is raised;
 * when they are found to be fine the test begins anew. Resolves when the last step has been watched, too, or it was rolled back;
 * rejects when the config centre refuses.
 */
export function playRollout(
  step: { readonly index: number; readonly what: RolloutPlan },
  plan: Plan,
  ports: RolloutPorts,
): { readonly begun: Promise<void>; readonly done: Promise<void>; stop(): void } {
  const rollout = new Rollout(step.index, step.what, plan, ports);
  const begun = rollout.raise();
  return { begun, done: begun.then(() => rollout.done), stop: () => rollout.stop() };
}

class Rollout {
  readonly done: Promise<void>;
  readonly #index: number;
  readonly #what: RolloutPlan;
  readonly #ports: RolloutPorts;
  readonly #canaries: ReadonlySet<string>;
  readonly #test: Sprt;
  readonly #ended: CallRecord[] = [];
  readonly #deaf: () => void;
  #calls = 0;
  #failed = 0;
  #score = 0;
  #next = 0;
  #isOver = false;
  #cancelRaise = (): void => undefined;
  #cancelLook = (): void => undefined;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(index: number, what: RolloutPlan, plan: Plan, ports: RolloutPorts) {
    this.#index = index;
    this.#what = what;
    this.#ports = ports;
    this.#test = new Sprt(what);
    this.#canaries = new Set(
      plan.nodes.filter(({ service, tag }) => service === what.service && tag === what.tag).map(({ id }) => id),
    );
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever plays the timeline awaits it later; a rollout that fails before isn't unhandled.
    this.done.catch(() => undefined);
    this.#deaf = ports.onCallEnd((call) => {
      if (call.service === what.service) this.#ended.push(call);
    });
    this.#look();
  }

  /** The next step up, or the end of the last. */
  async raise(): Promise<void> {
    const percent = this.#what.percents[this.#next++];
    if (percent === undefined) {
      this.#write("passed", this.#what.percents.at(-1) ?? 0);
      this.stop();
      return;
    }
    // Due from now, however long the config centre takes.
    this.#cancelRaise = this.#ports.clock.after(this.#what.everyUs, () => {
      this.raise().catch((error: unknown) => this.#fail(error));
    });
    this.#write("raised", percent);
    await this.#publish(percent);
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelRaise();
    this.#cancelLook();
    this.#deaf();
    this.#resolve();
  }

  #look(): void {
    this.#cancelLook = this.#ports.clock.after(lookEveryUs, () => {
      for (const { code, attempts } of this.#ended.splice(0)) {
        const [first] = attempts;
        if (code === undefined || first === undefined || !this.#canaries.has(first.instance)) continue;
        const isFailure = first.code !== "OK";
        this.#calls++;
        if (isFailure) this.#failed++;
        const found = this.#test.observe(isFailure);
        this.#score = this.#test.score;
        if (found === "bad") return this.#rollBack();
        if (found === "good") this.#test.score = 0;
      }
      this.#look();
    });
  }

  #rollBack(): void {
    this.#cancelRaise();
    this.#write("rolled-back", 0);
    this.#publish(0).then(
      () => this.stop(),
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    this.#reject(error);
    this.stop();
  }

  #publish(percent: number): Promise<void> {
    const { key, content } = this.#what;
    return this.#ports.publish(key, content.replaceAll("${percent}", String(percent)));
  }

  #write(state: RolloutRecord["state"], percent: number): void {
    const { clock, originUs, write } = this.#ports;
    write({
      type: "rollout",
      atUs: clock.nowUs() - originUs,
      index: this.#index,
      state,
      percent,
      calls: this.#calls,
      failed: this.#failed,
      score: this.#score,
    });
  }
}
