import type { LinkShape } from "../world.ts";
import { WorldError } from "../error.ts";
import { readLines } from "../../../runtime/node/lines.ts";
import type { OwnedLink } from "../live/fleet.ts";
import type { Place } from "../live/proxy.ts";
import type { Attached, Container } from "./container.ts";

/** What the container with the proxies is told, one JSON document a line; it answers each by its id. */
export type ToProxies = { readonly id: number; readonly link: string } & (
  | { readonly type: "open"; readonly seed: number; readonly listen: Place; readonly destination: Place }
  | { readonly type: "shape"; readonly shape: LinkShape }
  | { readonly type: "reset" }
  | { readonly type: "alive"; readonly isAlive: boolean }
  | { readonly type: "close" }
);

export type FromProxies =
  | { readonly type: "done"; readonly id: number; readonly address: string | undefined }
  | { readonly type: "refused"; readonly id: number; readonly reason: string };

type Order = ToProxies extends infer Message ? (Message extends ToProxies ? Omit<Message, "id"> : never) : never;

interface Waiter {
  readonly resolve: (address: string | undefined) => void;
  readonly reject: (error: WorldError) => void;
}

/** The container that leads the touched links of a fleet: the same proxies as in `local`, on the fleet's own network. */
export class ProxyContainer {
  readonly #container: Container;
  readonly #attached: Attached;
  readonly #host: string;
  readonly #onEnd: () => void;
  readonly #waiting = new Map<number, Waiter>();
  #orders = 0;
  #end: string | undefined;

  private constructor(
    container: Container,
    attached: Attached,
    at: { readonly host: string; readonly onEnd: () => void },
  ) {
    this.#container = container;
    this.#attached = attached;
    this.#host = at.host;
    this.#onEnd = at.onEnd;
  }

  /** Starts it; `host` is its address on the network. `onEnd` hears when it has gone, and all its proxies with it. */
  static async start(
    container: Container,
    at: { readonly host: string; readonly onEnd: () => void },
  ): Promise<ProxyContainer> {
    try {
      const attached = await container.attach();
      const proxies = new ProxyContainer(container, attached, at);
      proxies.#listen();
      await container.start();
      return proxies;
    } catch (error) {
      await container.remove();
      throw error;
    }
  }

  /** Opens a proxy, and answers its link. `link` is unique in this container. */
  async open(options: {
    readonly link: string;
    readonly seed: number;
    readonly destination: Place;
  }): Promise<OwnedLink> {
    const { link } = options;
    const listen = { host: this.#host, port: 0 };
    const address = await this.#order({ type: "open", ...options, listen });
    return {
      address: address!,
      shape: async (shape) => void (await this.#order({ type: "shape", link, shape })),
      reset: async () => void (await this.#order({ type: "reset", link })),
      setDestinationAlive: async (isAlive) => void (await this.#order({ type: "alive", link, isAlive })),
      // One that went down took its proxies with it.
      close: async () => void (this.#end === undefined && (await this.#order({ type: "close", link }))),
    };
  }

  #order(order: Order): Promise<string | undefined> {
    const id = ++this.#orders;
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) return reject(gone(this.#end));
      this.#waiting.set(id, { resolve, reject });
      this.#attached.stdin.write(`${JSON.stringify({ id, ...order })}\n`);
    });
  }

  #listen(): void {
    const { stdin, stdout, stderr } = this.#attached;
    let printed = "";
    stdin.on("error", () => undefined);
    stderr.setEncoding("utf8").on("data", (text: string) => (printed = (printed + text).slice(-4_000)));
    readLines(stdout, (line) => {
      const message = JSON.parse(line) as FromProxies;
      const waiter = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.type === "done") waiter?.resolve(message.address);
      else waiter?.reject(new WorldError(`a proxy can't do it: ${message.reason}`, { code: "UNAVAILABLE" }));
    });
    stdout.once("end", () => {
      this.#end = printed.trimEnd() || "it ended";
      for (const { reject } of this.#waiting.values()) reject(gone(this.#end));
      this.#waiting.clear();
      this.#onEnd();
      void this.#container.remove().catch(() => undefined);
    });
  }
}

const gone = (why: string): WorldError =>
  new WorldError(`the container with the proxies is gone: ${why}`, { code: "UNAVAILABLE" });
