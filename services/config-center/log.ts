import { create } from "@bufbuild/protobuf";

import { DocumentSchema, type Document } from "../../runtime/configuration/proto/config_pb.ts";
import { murmur3 } from "../../runtime/numbers.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import { isRecord, replaceFile } from "../../runtime/whole-file.ts";

const snapshotFile = "config-documents.ndjson";
const logFile = "config-log.ndjson";
/** Bytes of log after which it is folded into the snapshot. */
const logBytesMax = 4 * 1024 * 1024;

/**
 * Documents on the disk: a snapshot, and a log of what changed since. A line is a checksum and a document as JSON. A crash may
 * tear the log's last line, so what doesn't match its checksum is skipped: nobody was told of it. Lines hold whole documents
 * with their versions, so replaying one twice, or over a newer snapshot, does no harm.
 */
export class DocumentLog {
  readonly #disk: Disk;
  #bytes = 0;

  private constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Reads what there is, and begins a new log. */
  static async open(disk: Disk): Promise<{ readonly log: DocumentLog; readonly documents: readonly Document[] }> {
    const latest = new Map<string, Document>();
    for (const file of [snapshotFile, logFile]) {
      for (const document of parseLines(await disk.read(file))) {
        const path = `${document.group}\n${document.key}`;
        if (document.version >= (latest.get(path)?.version ?? 0)) latest.set(path, document);
      }
    }
    const log = new DocumentLog(disk);
    const documents = [...latest.values()];
    await log.#compact(documents);
    return { log, documents };
  }

  /** Resolves when the document is durable. */
  async add(document: Document): Promise<void> {
    // A line break first: whatever a failed write left behind is then a line of its own.
    const bytes = new TextEncoder().encode(`\n${lineOf(document)}\n`);
    await this.#disk.append(logFile, bytes);
    await this.#disk.sync(logFile);
    this.#bytes += bytes.length;
  }

  /** Folds a long log into the snapshot. A disk that can't do it now is asked again later: nothing is lost. */
  async compactWhenLong(all: () => readonly Document[]): Promise<void> {
    if (this.#bytes > logBytesMax) await this.#compact(all()).catch(() => undefined);
  }

  async #compact(documents: readonly Document[]): Promise<void> {
    if (documents.length > 0) await replaceFile(this.#disk, snapshotFile, documents.map(lineOf).join("\n") + "\n");
    await this.#disk.remove(logFile);
    this.#bytes = 0;
  }
}

function lineOf({ key, group, content, version, exists }: Document): string {
  const json = JSON.stringify({ key, group, content, version, exists });
  return `${checksum(json)} ${json}`;
}

function* parseLines(bytes: Uint8Array | undefined): Iterable<Document> {
  if (bytes === undefined) return;
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const space = line.indexOf(" ");
    const json = line.slice(space + 1);
    if (space < 0 || line.slice(0, space) !== checksum(json)) continue;
    const value: unknown = JSON.parse(json);
    if (isDocument(value)) yield create(DocumentSchema, value);
  }
}

function checksum(json: string): string {
  return murmur3(json, 0).toString(16).padStart(8, "0");
}

function isDocument(value: unknown): value is Omit<Document, "$typeName"> {
  return (
    isRecord(value) &&
    typeof value["key"] === "string" &&
    typeof value["group"] === "string" &&
    typeof value["content"] === "string" &&
    Number.isInteger(value["version"]) &&
    typeof value["exists"] === "boolean"
  );
}
