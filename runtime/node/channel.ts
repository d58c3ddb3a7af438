import { readLines } from "./lines.ts";

/** A process's way to whoever has started it, for messages that are plain values. */
export interface Channel<In, Out> {
  /** `then` is called once the message is on its way. */
  readonly send: (message: Out, then?: () => void) => void;
  readonly onMessage: (listener: (message: In) => void) => void;
}

/** Node.js's own channel between parent and child. When it ends, or takes no message any more, so does this process. */
export function ipcChannel<In, Out>(): Channel<In, Out> {
  process.on("disconnect", () => process.exit());
  return {
    // An error means that the channel is gone, and with it the reason to be.
    send: (message, then) =>
      void process.send!(message, undefined, undefined, (error) => (error === null ? then?.() : process.exit())),
    onMessage: (listener) => void process.on("message", (message: In) => listener(message)),
  };
}

/**
 * Standard input and output, one JSON document a line: how a process in a container is reached without any port. When its input
 * ends, so does this process.
 */
export function stdioChannel<In, Out>(): Channel<In, Out> {
  process.stdin.on("end", () => process.exit()).on("error", () => process.exit());
  process.stdout.on("error", () => process.exit());
  return {
    send: (message, then) => void process.stdout.write(`${JSON.stringify(message)}\n`, () => then?.()),
    onMessage: (listener) => readLines(process.stdin, (line) => listener(JSON.parse(line) as In)),
  };
}
