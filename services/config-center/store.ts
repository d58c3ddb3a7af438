import { create } from "@bufbuild/protobuf";

import { RpcError } from "../../runtime/call/status.ts";
import { DocumentSchema, type Document } from "../../runtime/configuration/proto/config_pb.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { Bell } from "../bell.ts";
import type { DocumentLog } from "./log.ts";

/** How much the config centre takes on, so that nobody can exhaust it. */
export const limits = {
  contentBytes: 1024 * 1024,
  totalBytes: 256 * 1024 * 1024,
  documents: 20_000,
  watches: 200_000,
  nameCharacters: 256,
};

/** A watch is never silent for longer: what can't be heard for three times as long is broken. */
const heartbeatUs = 2_000_000;

export interface Name {
  readonly key: string;
  readonly group: string;
}

/** The config centre's documents. A change is on the disk before anybody learns of it. */
export class DocumentStore {
  readonly #clock: Clock;
  readonly #log: DocumentLog;
  readonly #shelves = new Map<string, Shelf>();
  #bytes = 0;
  #watches = 0;
  /** The last write: one after the other, so that a condition holds until its write is done. */
  #writing: Promise<unknown> = Promise.resolve();
  #disarm: () => void;

  constructor(options: { readonly clock: Clock; readonly log: DocumentLog; readonly documents: readonly Document[] }) {
    this.#clock = options.clock;
    this.#log = options.log;
    for (const document of options.documents) this.#put(document);
    this.#disarm = this.#clock.after(heartbeatUs / 4, () => this.#tick());
  }

  get(name: Name): Document {
    checkName(name);
    return this.#shelves.get(pathOf(name))?.document ?? neverPublished(name);
  }

  publish(name: Name, content: string, ifVersion: number | undefined): Promise<number> {
    checkName(name);
    const bytes = new TextEncoder().encode(content).length;
    if (bytes > limits.contentBytes) {
      throw new RpcError(`a document of ${bytes} bytes`, {
        code: "INVALID_ARGUMENT",
        hint: `at most ${limits.contentBytes}`,
      });
    }
    return this.#inTurn(async () => {
      const present = this.get(name);
      const isMet = ifVersion === undefined || ifVersion === present.version || (ifVersion === 0 && !present.exists);
      if (!isMet) {
        throw new RpcError(`${name.key} is at version ${present.version}, not at ${ifVersion}`, {
          code: "ABORTED",
          hint: "read the document again, and decide again",
        });
      }
      this.#refuseTooMuch(bytes, present.version === 0);
      return this.#write({ ...name, content, version: present.version + 1, exists: true });
    });
  }

  remove(name: Name): Promise<number> {
    checkName(name);
    return this.#inTurn(async () => {
      const present = this.get(name);
      if (!present.exists) return present.version;
      return this.#write({ ...name, content: "", version: present.version + 1, exists: false });
    });
  }

  /** Tells those who watch a document what it was before its latest change, as a message that was on its way for too long. */
  retell(name: Name): void {
    const shelf = this.#shelves.get(pathOf(name));
    for (const watch of shelf?.watches ?? []) {
      watch.late = shelf?.before ?? neverPublished(name);
      watch.bell.ring();
    }
  }

  watch(name: Name): Watch {
    checkName(name);
    if (this.#watches >= limits.watches) throw exhausted(`the config centre has ${limits.watches} watches already`);
    const path = pathOf(name);
    let shelf = this.#shelves.get(path);
    if (shelf === undefined) this.#shelves.set(path, (shelf = { document: neverPublished(name), watches: new Set() }));
    const { watches } = shelf;
    const present = shelf;
    const bell = new Bell();
    const watch: Watch = {
      bell,
      spokeUs: this.#clock.nowUs(),
      latest: () => present.document,
      late: undefined,
      close: (error) => {
        if (!watches.delete(watch)) return;
        this.#watches--;
        bell.close(error);
        // Nobody can fill the memory by watching names that don't exist.
        if (watches.size === 0 && present.document.version === 0) this.#shelves.delete(path);
      },
    };
    watches.add(watch);
    this.#watches++;
    return watch;
  }

  /** Ends every watch; resolves when the last write is done. */
  async stop(): Promise<void> {
    this.#disarm();
    const away = new RpcError("the config centre is going away", { code: "UNAVAILABLE" });
    for (const { watches } of [...this.#shelves.values()]) for (const watch of [...watches]) watch.close(away);
    await this.#writing;
  }

  #inTurn(write: () => Promise<number>): Promise<number> {
    const done = this.#writing.then(write);
    this.#writing = done.catch(() => undefined);
    return done;
  }

  async #write(change: Omit<Document, "$typeName">): Promise<number> {
    const document = create(DocumentSchema, change);
    await this.#log.add(document);
    const shelf = this.#put(document);
    for (const watch of shelf.watches) watch.bell.ring();
    await this.#log.compactWhenLong(() => this.#all());
    return document.version;
  }

  #put(document: Document): Shelf {
    const path = pathOf(document);
    let shelf = this.#shelves.get(path);
    if (shelf === undefined) this.#shelves.set(path, (shelf = { document, watches: new Set() }));
    else this.#bytes -= shelf.document.content.length;
    this.#bytes += document.content.length;
    shelf.before = shelf.document === document ? undefined : shelf.document;
    shelf.document = document;
    return shelf;
  }

  #all(): readonly Document[] {
    return [...this.#shelves.values()].map(({ document }) => document).filter(({ version }) => version > 0);
  }

  #refuseTooMuch(bytes: number, isNew: boolean): void {
    if (this.#bytes + bytes > limits.totalBytes) {
      throw exhausted(`the config centre holds ${limits.totalBytes} bytes at most`);
    }
    if (isNew && this.#shelves.size >= limits.documents) {
      throw exhausted(`the config centre has ${limits.documents} documents already`);
    }
  }

  #tick(): void {
    const dueUs = this.#clock.nowUs() - heartbeatUs + heartbeatUs / 4;
    for (const { watches } of this.#shelves.values()) {
      for (const watch of watches) if (watch.spokeUs < dueUs) watch.bell.ring();
    }
    this.#disarm = this.#clock.after(heartbeatUs / 4, () => this.#tick());
  }
}

/** One watcher of one document. */
export interface Watch {
  /** Rings when there is something new, or when it is time for a heartbeat. */
  readonly bell: Bell;
  /** When the watcher was last told anything. */
  spokeUs: number;
  latest(): Document;
  /** An older one that is to be told once, behind the latest. */
  late: Document | undefined;
  close(error?: RpcError): void;
}

interface Shelf {
  document: Document;
  /** What it was before that, since this process began. */
  before?: Document | undefined;
  readonly watches: Set<Watch>;
}

function neverPublished({ key, group }: Name): Document {
  return create(DocumentSchema, { key, group, content: "", version: 0, exists: false });
}

function checkName({ key, group }: Name): void {
  for (const [what, name] of [
    ["key", key],
    ["group", group],
  ] as const) {
    if (name === "" || name.length > limits.nameCharacters || /[\u0000-\u001f\u007f]/.test(name)) {
      throw new RpcError(`a ${what} has 1 to ${limits.nameCharacters} characters, none of them a control character`, {
        code: "INVALID_ARGUMENT",
      });
    }
  }
}

function exhausted(message: string): RpcError {
  return new RpcError(message, { code: "RESOURCE_EXHAUSTED" });
}

/** Names have no control characters, so a line break separates them. */
const pathOf = ({ key, group }: Name): string => `${group}\n${key}`;
