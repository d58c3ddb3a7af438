import { readLines } from "../../../runtime/node/lines.ts";
import type { HistoryRecord } from "../../history/record.ts";
import { WorldError } from "../error.ts";
import type { Container } from "./container.ts";

/** The container that tells Prometheus which faults a run has now. */
export interface FaultMetrics {
  readonly container: Container;
  hear(record: HistoryRecord): void;
}

/** Starts it; resolves when it can be scraped. */
export async function startFaultMetrics(container: Container): Promise<FaultMetrics> {
  try {
    const { stdin, stdout, stderr } = await container.attach();
    let printed = "";
    // One that has gone costs a dashboard its annotations, and no run its verdict.
    stdin.on("error", () => undefined);
    stderr.setEncoding("utf8").on("data", (text: string) => (printed = (printed + text).slice(-4_000)));
    const listening = new Promise<void>((resolve, reject) => {
      readLines(stdout, () => resolve());
      stdout.once("end", () => {
        reject(new WorldError(`the container with the faults' metrics is gone: ${printed}`, { code: "UNAVAILABLE" }));
      });
    });
    listening.catch(() => undefined);
    await container.start();
    await listening;
    return { container, hear: (record) => void stdin.write(`${JSON.stringify(record)}\n`) };
  } catch (error) {
    await container.remove();
    throw error;
  }
}
