import type { SpanCounts, SpanExporter } from "../../ports/span-exporter.ts";
import type { Span } from "../../telemetry/span.ts";
import type { OtlpOptions, Pipeline } from "./otlp-pipeline.ts";

/** Spans that may wait: some megabytes. What comes on top while the store is away is dropped, and counted. */
const waitingMax = 8_192;

/** Sends spans through OpenTelemetry's SDK. The SDK is loaded with the first span: a node that doesn't trace never pays for it. */
export function otlpExporter(options: OtlpOptions): SpanExporter {
  return new OtlpExporter(options);
}

class OtlpExporter implements SpanExporter {
  readonly #options: OtlpOptions;
  #sent = 0;
  #dropped = 0;
  #waiting = 0;
  #loading: Promise<void> | undefined;
  #pipeline: Pipeline | undefined;
  /** Those that came before the SDK. */
  #early: Span[] = [];
  #idle: (() => void)[] = [];
  #isClosed = false;

  constructor(options: OtlpOptions) {
    this.#options = options;
  }

  get counts(): SpanCounts {
    return { sent: this.#sent, dropped: this.#dropped, waiting: this.#waiting };
  }

  export(span: Span): void {
    if (this.#isClosed || this.#waiting >= waitingMax) {
      this.#dropped++;
      return;
    }
    this.#waiting++;
    if (this.#pipeline !== undefined) return this.#pipeline.add(span);
    this.#early.push(span);
    this.#loading ??= this.#load();
  }

  async flush(timeoutMs: number): Promise<void> {
    if (this.#waiting === 0) return;
    await this.#within(timeoutMs, async () => {
      await this.#loading;
      await this.#pipeline?.flush();
      // A batch that was on its way already isn't part of that.
      if (this.#waiting > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    });
  }

  async close(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#within(timeoutMs, async () => {
      await this.flush(timeoutMs);
      await this.#pipeline?.close();
    });
    this.#settle(this.#waiting, false);
  }

  async #load(): Promise<void> {
    const early = (): Span[] => this.#early.splice(0);
    try {
      const { openPipeline } = await import("./otlp-pipeline.ts");
      this.#pipeline = openPipeline(this.#options, (count, isSent) => this.#settle(count, isSent));
      for (const span of early()) this.#pipeline.add(span);
    } catch {
      // An SDK that can't be loaded is a store that is away: calls go on.
      this.#settle(early().length, false);
    }
  }

  /** What the store took, or what was given up. Answers that come after the end count no more. */
  #settle(count: number, isSent: boolean): void {
    const settled = Math.min(count, this.#waiting);
    this.#waiting -= settled;
    if (isSent) this.#sent += settled;
    else this.#dropped += settled;
    if (this.#waiting > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Waits for `work`, but not for longer than that, and whatever becomes of it. */
  async #within(timeoutMs: number, work: () => Promise<void>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(timeoutMs * 1000, resolve);
    });
    await Promise.race([work().catch(() => undefined), late]);
    cancel();
  }
}
