import { directStub } from "../../runtime/call/direct.ts";
import { toRpcError } from "../../runtime/call/status.ts";
import { ConfigCenter } from "../../runtime/configuration/proto/config_pb.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { silent } from "../../runtime/ports/telemetry.ts";
import type { Transport } from "../../runtime/ports/transport.ts";
import { CallLog } from "../../runtime/telemetry/call-log.ts";

/** Time that a document has to reach a config centre that doesn't answer at first. */
const publishWithinUs = 30_000_000;
const retryAfterUs = 50_000;

/** Puts documents into the embedded config centre at `address`; without content a document is deleted. */
export function createPublisher(options: {
  readonly clock: Clock;
  /** The harness's own: no fault is on its way. */
  readonly transport: Transport;
  readonly address: string;
}): (key: string, content: string | undefined, signal?: AbortSignal) => Promise<void> {
  const { clock } = options;
  const calls = new CallLog({ clock, telemetry: silent });
  const center = directStub(ConfigCenter, { ...options, calls, service: "config-center" });
  return async (key, content, signal) => {
    const untilUs = clock.nowUs() + publishWithinUs;
    for (;;) {
      try {
        if (content === undefined) await center.delete({ key, group: "dubbo" });
        else await center.publish({ key, group: "dubbo", content });
        return;
      } catch (thrown) {
        const error = toRpcError(thrown);
        const isAway = error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED";
        if (!isAway || clock.nowUs() >= untilUs) throw error;
        await clock.sleep(retryAfterUs, signal);
      }
    }
  };
}
