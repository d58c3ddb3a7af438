import { once } from "node:events";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { readLines } from "../../../runtime/node/lines.ts";
import type { FromNode, ToNode } from "../../../services/control.ts";
import { Conversation } from "../live/conversation.ts";
import { SpokenLife } from "../live/spoken-life.ts";
import type { Ending } from "../world.ts";
import type { Attached, Container } from "./container.ts";

/**
 * One life of a node: a run of its container, talked to over the container's standard input and output. No port is open for it,
 * whatever becomes of the node's network it can be reached, and when the harness is gone, the node's input ends and so does the node.
 */
export class NodeContainer extends SpokenLife {
  readonly #container: Container;
  readonly #attached: Attached;
  override readonly ended: Promise<Ending>;

  private constructor(parts: {
    readonly container: Container;
    readonly attached: Attached;
    readonly conversation: Conversation;
    /** Resolves once everything that it printed was heard. */
    readonly silent: Promise<unknown>;
  }) {
    super(parts.conversation);
    this.#container = parts.container;
    this.#attached = parts.attached;
    this.ended = this.#untilEnded(parts.silent);
  }

  static async start(
    container: Container,
    options: {
      readonly node: string;
      readonly onRecords: (events: readonly RuntimeEvent[]) => void;
      /** Hears what it prints beside the protocol. */
      readonly onLine?: (line: string) => void;
    },
  ): Promise<NodeContainer> {
    const conversation = new Conversation(options.node, options.onRecords);
    const attached = await container.attach();
    attached.stdin.on("error", () => undefined);
    readLines(attached.stdout, (line) => {
      const message = messageIn(line);
      if (message !== undefined) return conversation.hear(message);
      conversation.print(`${line}\n`);
      options.onLine?.(line);
    });
    attached.stderr.setEncoding("utf8").on("data", (text: string) => conversation.print(text));
    // Listened for before it runs: one that ends at once may be silent before it is known to have started.
    const silent = once(attached.stdout, "end");
    try {
      await container.start();
    } catch (error) {
      attached.stdin.end();
      throw error;
    }
    return new NodeContainer({ container, attached, conversation, silent });
  }

  protected override carry(message: ToNode): void {
    if (this.#attached.stdin.writable) this.#attached.stdin.write(`${JSON.stringify(message)}\n`);
  }

  override kill(): void {
    // One that is gone already can't be killed; what else goes wrong shows in that it doesn't end.
    void this.#container.kill().catch(() => undefined);
  }

  override pause(): Promise<void> {
    return this.#container.pause();
  }

  override resume(): Promise<void> {
    return this.#container.resume();
  }

  async #untilEnded(silent: Promise<unknown>): Promise<Ending> {
    const ending = await this.#container.ended();
    // What it sent last may still be on its way when it has ended already.
    await silent;
    return this.conversation.end(ending);
  }
}

/** A line of the control protocol; undefined for anything else that a node prints. */
function messageIn(line: string): FromNode | undefined {
  if (!line.startsWith('{"type":"')) return undefined;
  try {
    return JSON.parse(line) as FromNode;
  } catch {
    return undefined;
  }
}
