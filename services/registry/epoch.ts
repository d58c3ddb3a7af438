import type { Disk } from "../../runtime/ports/disk.ts";
import { isRecord, readJson, replaceFile } from "../../runtime/whole-file.ts";
import { ConfigError } from "../service.ts";

const file = "registry-epoch.json";

/**
 * The number of this start, 0 for the first, on the disk before it is used: a version begins with it, so versions go on growing
 * after a restart that lost everything else, and watchers can tell new from old.
 */
export async function nextEpoch(disk: Disk): Promise<number> {
  const bytes = await disk.read(file);
  const epoch = bytes === undefined ? 0 : epochOf(await readJson(disk, file)) + 1;
  await keepEpoch(disk, epoch);
  return epoch;
}

export function keepEpoch(disk: Disk, epoch: number): Promise<void> {
  return replaceFile(disk, file, JSON.stringify({ format: 1, epoch }));
}

function epochOf(value: unknown): number {
  const epoch = isRecord(value) && value["format"] === 1 ? value["epoch"] : undefined;
  if (typeof epoch === "number" && Number.isInteger(epoch) && epoch >= 0 && epoch < 4095) return epoch;
  throw new ConfigError(
    `${file} doesn't hold the number of an earlier start`,
    "remove it together with every client's cached list: versions begin anew",
  );
}
