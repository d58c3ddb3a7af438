import { didYouMean } from "../../services/nearest.ts";
import { Reservations } from "../../services/proto/bank_pb.ts";
import { Worker } from "../../services/proto/worker_pb.ts";
import { callSpecsOf } from "./calls.ts";
import { durationUs } from "./durations.ts";
import { ScenarioError } from "./error.ts";
import { isForeign } from "./foreign.ts";
import type { CallsSpec, FleetSpec, Scenario } from "./schema.ts";
import { secretNamed } from "./secrets.ts";

/** What a scenario says of guards and credentials (`security.ts`), as programs take it, and whether it means something. */

type ProviderSpec = Extract<FleetSpec, { program: "provider" }>;
type GuardSpec = NonNullable<ProviderSpec["guard"]>;

/** A guard as programs take it, secrets in their places left open. */
export function guardSettings(
  service: string,
  { token, accessKeys, maxSkew, allow }: GuardSpec,
): Readonly<Record<string, unknown>> {
  return {
    ...(token !== undefined && { token: secretNamed(`the token of ${service}`) }),
    ...(accessKeys !== undefined && {
      accessKeys: Object.fromEntries(accessKeys.map((key) => [key, secretNamed(keyOf(key))])),
    }),
    ...(maxSkew !== undefined && { maxSkewMs: durationUs(maxSkew) / 1000 }),
    ...(allow !== undefined && { allow }),
  };
}

/** What a service's calls are signed with, likewise. */
export function credentialSettings(
  caller: string,
  { accessKey: key, forged = false }: NonNullable<CallsSpec["credentials"]>,
): Readonly<Record<string, unknown>> {
  return { accessKey: key, secret: secretNamed(forged ? `${keyOf(key)}, forged by ${caller}` : keyOf(key)) };
}

const keyOf = (accessKey: string): string => `the access key ${accessKey}`;

/** Names in guards and credentials must mean something: a slip of the pen would look like a guard that works. */
export function checkSecurity({ fleet, security }: Scenario): void {
  const services = security?.mtls === true ? Object.keys(fleet) : undefined;
  if (services !== undefined) {
    const foreign = services.find((service) => isForeign(fleet[service]!));
    if (foreign !== undefined) {
      throw new ScenarioError(`fleet.${foreign} has programs that aren't Flyball's, and they have no certificate`, {
        code: "INVALID_SCENARIO",
        hint: "leave out security.mtls, or their instances",
      });
    }
  }
  for (const [service, spec] of Object.entries(fleet)) {
    for (const guard of guardsOf(spec)) checkAllow(service, guard, { services, methods: methodsOf(spec) });
    for (const { service: callee, credentials } of callSpecsOf(spec)) {
      if (credentials === undefined || credentials.forged === true) continue;
      const keys = guardsOf(fleet[callee]!).flatMap(({ accessKeys = [] }) => accessKeys);
      if (keys.includes(credentials.accessKey)) continue;
      const where = `fleet.${service}.calls.credentials`;
      throw keys.length === 0
        ? new ScenarioError(`${where}: ${callee} asks nobody for an access key`, {
            code: "INVALID_SCENARIO",
            hint: `give it a guard: { accessKeys: ["${credentials.accessKey}"] }`,
          })
        : unknown(`${where}.accessKey`, credentials.accessKey, keys, `access key of ${callee}`);
    }
  }
}

/** Callers are access keys; without any, what certificates say: services. */
function checkAllow(
  service: string,
  { allow, accessKeys }: GuardSpec,
  served: { readonly services: readonly string[] | undefined; readonly methods: readonly string[] },
): void {
  if (allow === undefined) return;
  const names = accessKeys ?? served.services;
  if (names === undefined) {
    throw new ScenarioError(`fleet.${service}.guard.allow: nobody can prove to ${service} who calls`, {
      code: "INVALID_SCENARIO",
      hint: "ask for accessKeys, or say security: { mtls: true }",
    });
  }
  const what = accessKeys === undefined ? "service of the fleet" : `access key of ${service}`;
  const methods = ["*", ...served.methods];
  const where = `fleet.${service}.guard.allow`;
  for (const rule of allow) {
    for (const method of rule.methods) {
      if (!methods.includes(method)) throw unknown(`${where}.methods`, method, methods, "method");
    }
    const stranger = rule.callers.find((caller) => caller !== "*" && !names.includes(caller));
    if (stranger !== undefined) throw unknown(`${where}.callers`, stranger, names, what);
  }
}

const methodsOf = ({ program }: FleetSpec): readonly string[] =>
  (program === "account" || program === "stock" ? Reservations : Worker).methods.map(({ name }) => name);

/** Of a service, and of those of its instances that have their own. */
function guardsOf(spec: FleetSpec): readonly GuardSpec[] {
  if (spec.program === "account" || spec.program === "stock") return spec.guard === undefined ? [] : [spec.guard];
  if (spec.program !== "provider") return [];
  return [spec.guard, ...(spec.groups ?? []).map(({ guard }) => guard)].filter((guard) => guard !== undefined);
}

function unknown(where: string, name: string, names: readonly string[], what: string): ScenarioError {
  return new ScenarioError(`${where}: "${name}" is no ${what}; there is ${names.join(", ")}`, {
    code: "UNKNOWN_NAME",
    hint: didYouMean(name, names),
  });
}
