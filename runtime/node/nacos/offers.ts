import { createBackoff } from "../../call/backoff.ts";
import { pause } from "../../call/pause.ts";
import { groupsOf } from "../../discovery/dubbo-application.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { NacosConfigCenter } from "./config-center.ts";

/**
 * The groups in which an application offers the interface; "unwritten" where nobody has written that down, so that it is believed
 * to offer it in none; "unreachable" while it can't be read.
 */
export type Offer = readonly string[] | "unwritten" | "unreachable";

/** An application, and the revision of what it offers. */
export type Revision = readonly [application: string, revision: string];

export interface OffersOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly config: () => Pick<NacosConfigCenter, "get" | "life">;
  readonly interfaceName: string;
}

/** Those of applications long gone needn't be kept: the one that wasn't asked for longest is forgotten. */
const revisionsMax = 1000;

/**
 * What foreign applications offer, which Dubbo keeps in the config centre under (application, revision). A revision's content never
 * changes: it is read once.
 */
export class Offers {
  readonly #options: OffersOptions;
  readonly #found = new Map<string, Offer>();
  readonly #looks = new Map<string, Promise<void>>();
  readonly #learning = new Set<string>();

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /** Undefined before the first look has ended. */
  offerOf(revision: Revision): Offer | undefined {
    const key = keyOf(revision);
    const offer = this.#found.get(key);
    if (offer !== undefined) this.#keep(key, offer);
    return offer;
  }

  /** Resolves when all of them have been looked for. Rejects with an `RpcError` when the server can't be reached. */
  async known(revisions: readonly Revision[]): Promise<void> {
    await Promise.all(revisions.map((revision) => this.#look(revision)));
  }

  /** Looks for them until each could be; `onLook` hears after every look. */
  learn(revisions: readonly Revision[], onLook: () => void): void {
    for (const revision of revisions) {
      if (!this.#isCertain(revision)) void this.#learn(revision, onLook);
    }
  }

  async #learn(revision: Revision, onLook: () => void): Promise<void> {
    const { clock, random, config } = this.#options;
    const key = keyOf(revision);
    if (this.#learning.has(key)) return;
    this.#learning.add(key);
    const { life } = config();
    const backoff = createBackoff(random.fork(`offer ${key}`));
    for (let isFound = false; !isFound && !life.isCancelled;) {
      isFound = await this.#look(revision).then(
        () => true,
        () => false,
      );
      onLook();
      if (!isFound) await pause(clock, backoff.nextUs(), life);
    }
    this.#learning.delete(key);
  }

  #isCertain(revision: Revision): boolean {
    return typeof this.#found.get(keyOf(revision)) === "object";
  }

  #look(revision: Revision): Promise<void> {
    if (this.#isCertain(revision)) return Promise.resolve();
    const key = keyOf(revision);
    let look = this.#looks.get(key);
    if (look === undefined) {
      look = this.#read(revision).finally(() => this.#looks.delete(key));
      this.#looks.set(key, look);
    }
    return look;
  }

  async #read(revision: Revision): Promise<void> {
    const [application, group] = revision;
    const key = keyOf(revision);
    try {
      const { exists, content } = await this.#options.config().get({ key: application, group });
      // What is there and can't be understood offers nothing.
      this.#keep(key, exists ? (groupsOf(content, this.#options.interfaceName) ?? []) : "unwritten");
    } catch (error) {
      if (!this.#found.has(key)) this.#keep(key, "unreachable");
      throw error;
    }
  }

  #keep(key: string, offer: Offer): void {
    this.#found.delete(key);
    this.#found.set(key, offer);
    if (this.#found.size > revisionsMax) this.#found.delete(this.#found.keys().next().value!);
  }
}

const keyOf = ([application, revision]: Revision): string => `${application}\n${revision}`;
