import { stdioChannel } from "../../../runtime/node/channel.ts";
import { serveMetrics } from "../../../runtime/node/telemetry/exposition.ts";
import type { HistoryRecord } from "../../history/record.ts";
import { faultWindows } from "../../telemetry/fault-windows.ts";

// The program of the container that tells Prometheus which faults a run has now: fault-metrics-main.ts RUN ADDRESS. It hears the
// run's history over its standard input, and ends with it.

const [run, address] = process.argv.slice(2) as [string, string];
const windows = faultWindows(run);
const channel = stdioChannel<HistoryRecord, "listening">();
channel.onMessage((record) => windows.hear(record));
await serveMetrics({ ...windows, address, isLoopbackOnly: false });
channel.send("listening");
