import { readLines } from "../../../runtime/node/lines.ts";
import type { HistoryRecord } from "../../history/record.ts";
import { WorldError } from "../error.ts";
import type { Attached, Container } from "./container.ts";

/** What the container that tells Prometheus of faults is told, one JSON document a line. */
export type ToFaultExposition =
  { readonly type: "run"; readonly run: string } | { readonly type: "record"; readonly record: HistoryRecord };

export interface FromFaultExposition {
  readonly type: "listening";
}

/**
 * The container from which Prometheus scrapes the faults of the run that is under way. It is on the fleet's own network: a
 * harness isn't, and this machine's firewall may keep containers from reaching it.
 */
export class FaultExposition {
  /** "host:port", where Prometheus reaches it. */
  readonly address: string;
  readonly #attached: Attached;

  private constructor(attached: Attached, address: string) {
    this.#attached = attached;
    this.address = address;
  }

  /** Starts it; resolves when it listens. `onEnd` hears when it has gone. */
  static async start(
    container: Container,
    { address, onEnd }: { readonly address: string; readonly onEnd: () => void },
  ): Promise<FaultExposition> {
    try {
      const attached = await container.attach();
      attached.stdin.on("error", () => undefined);
      let printed = "";
      attached.stderr.setEncoding("utf8").on("data", (text: string) => (printed = (printed + text).slice(-4_000)));
      const listening = new Promise<void>((resolve, reject) => {
        readLines(attached.stdout, () => resolve());
        attached.stdout.once("end", () => {
          onEnd();
          const why = printed.trimEnd() || "it ended";
          reject(new WorldError(`the faults can't be told to Prometheus: ${why}`, { code: "NOT_READY" }));
        });
      });
      await container.start();
      await listening;
      return new FaultExposition(attached, address);
    } catch (error) {
      await container.remove();
      throw error;
    }
  }

  /** From now on it is about this run, of which no fault is known yet. */
  begin(run: string): void {
    this.#tell({ type: "run", run });
  }

  /** What is no step of the timeline isn't worth the way. */
  hear(record: HistoryRecord): void {
    if (record.type === "step") this.#tell({ type: "record", record });
  }

  #tell(message: ToFaultExposition): void {
    if (this.#attached.stdin.writable) this.#attached.stdin.write(`${JSON.stringify(message)}\n`);
  }
}
