import { stdioChannel } from "../../../runtime/node/channel.ts";
import { serveMetrics } from "../../../runtime/node/telemetry/exposition.ts";
import { faultWindows, type FaultWindows } from "../../telemetry/fault-windows.ts";
import type { FromFaultExposition, ToFaultExposition } from "./fault-exposition.ts";

// The program of the container that tells Prometheus which faults are there. It hears of them over its standard input, and ends with it.

const channel = stdioChannel<ToFaultExposition, FromFaultExposition>();
let windows: FaultWindows | undefined;

channel.onMessage((message) => {
  if (message.type === "run") windows = faultWindows(message.run);
  else windows?.hear(message.record);
});

const [, , address = ""] = process.argv;
const { contentType } = faultWindows("");
await serveMetrics({
  address,
  isLoopbackOnly: false,
  contentType,
  render: () => windows?.render() ?? Promise.resolve(""),
});
channel.send({ type: "listening" });
