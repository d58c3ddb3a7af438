import { RpcError } from "../../runtime/call/status.ts";
import type { Instance } from "../../runtime/discovery/proto/registry_pb.ts";
import { isAddress } from "../config.ts";

/** How much the registry takes on, so that nobody can exhaust it: far more than a fleet needs. */
export const limits = {
  sessions: 100_000,
  instances: 200_000,
  instancesOfSession: 1_000,
  services: 20_000,
  watches: 200_000,
  watchesOfSession: 1_000,
  nameCharacters: 256,
  labels: 64,
  labelCharacters: 1_024,
  timeoutMsMin: 100,
  timeoutMsMax: 600_000,
};

/** Throws INVALID_ARGUMENT for what can't be an instance, RESOURCE_EXHAUSTED for one that is too large. */
export function checkInstance(instance: Instance | undefined): asserts instance is Instance {
  if (instance === undefined) throw invalid("a registration without an instance");
  checkName("id", instance.id);
  checkName("service", instance.service);
  if (!isAddress(instance.address) || instance.address.endsWith(":0")) {
    throw invalid(`an instance's address is "host:port", not "${instance.address.slice(0, 60)}"`);
  }
  const labels = Object.entries(instance.metadata);
  if (labels.length > limits.labels) throw exhausted(`an instance has at most ${limits.labels} labels`);
  for (const [key, value] of labels) {
    if (key === "") throw invalid("a label without a name");
    if (key.length > limits.nameCharacters || value.length > limits.labelCharacters) {
      throw exhausted(
        `a label has at most ${limits.nameCharacters} characters in its name and ${limits.labelCharacters} in its value`,
      );
    }
  }
}

/** Throws unless `name` has 1 to 256 characters and no control characters. */
export function checkName(what: string, name: string): void {
  if (name === "") throw invalid(`the ${what} is empty`);
  if (name.length > limits.nameCharacters) throw invalid(`the ${what} has over ${limits.nameCharacters} characters`);

  if (/[\u0000-\u001f\u007f]/.test(name)) throw invalid(`the ${what} has control characters`);
}

export function invalid(message: string): RpcError {
  return new RpcError(message, { code: "INVALID_ARGUMENT" });
}

export function exhausted(message: string): RpcError {
  return new RpcError(message, { code: "RESOURCE_EXHAUSTED" });
}
