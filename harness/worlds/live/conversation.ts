import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { FromNode } from "../../../services/control.ts";
import { WorldError } from "../error.ts";
import type { Ending } from "../world.ts";
import { inSources } from "./in-sources.ts";
import type { Reply, ReplyOf } from "./node.ts";
import { bundles, bundlesInContainers } from "./programs.ts";

interface Waiter {
  readonly type: Reply;
  readonly resolve: (message: never) => void;
  readonly reject: (error: WorldError) => void;
}

/** The last of what a node printed that is kept for the message of its failure. */
const lastWordsMax = 4_000;

/** What is said with one life of a node: its answers go to whom they are for, its last words are kept. */
export class Conversation {
  readonly #node: string;
  readonly #onRecords: (events: readonly RuntimeEvent[]) => void;
  #waiters: Waiter[] = [];
  #failure: Extract<FromNode, { readonly type: "failed" }> | undefined;
  #printed = "";
  /** Why it ended, once it has. */
  #end: string | undefined;

  constructor(node: string, onRecords: (events: readonly RuntimeEvent[]) => void) {
    this.#node = node;
    this.#onRecords = onRecords;
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  hear(message: FromNode): void {
    if (message.type === "records") {
      this.#onRecords(message.events);
    } else if (message.type === "failed") {
      this.#failure = message;
    } else {
      const index = this.#waiters.findIndex(({ type }) => type === message.type);
      if (index >= 0) this.#waiters.splice(index, 1)[0]!.resolve(message as never);
    }
  }

  /** Something that it printed, for people. */
  print(text: string): void {
    this.#printed = (this.#printed + text).slice(-lastWordsMax);
  }

  /** The last lines that it printed. */
  get lastWords(): string {
    return inSources(this.#printed, bundles, bundlesInContainers).trimEnd().split("\n").slice(-12).join("\n");
  }

  /** The next message of this type. Rejects when the life ends first. */
  expect<Type extends Reply>(type: Type): Promise<ReplyOf<Type>> {
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#waiters.push({ type, resolve, reject });
      else reject(this.#error(this.#end));
    });
  }

  /** The life is over; answers how, as the node itself said or else as it was seen to end. */
  end({ how, isLost = false }: Ending): Ending {
    const lastWords = this.lastWords;
    const seen = lastWords === "" ? how : `${how}; the last that it printed:\n${lastWords}`;
    const said = this.#failure && inSources(this.#failure.message, bundles, bundlesInContainers);
    const end = said ?? seen;
    this.#end = end;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(this.#error(end));
    return { how: end, isLost: isLost && said === undefined };
  }

  #error(end: string): WorldError {
    return new WorldError(`node ${this.#node}: ${end}`, { code: "NOT_READY", hint: this.#failure?.hint });
  }
}
