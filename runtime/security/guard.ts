import type { Call } from "../call/call.ts";
import type { Filter } from "../call/filter.ts";
import { RpcError } from "../call/status.ts";
import { isSame, signatureOf } from "./signature.ts";

/** Whom a provider lets in. Each part that is there must hold. */
export interface GuardSettings {
  /** Dubbo's token: every call carries it; callers learn it from the registry, so it keeps out who goes past the registry. */
  readonly token?: string | undefined;
  /** Secrets by access key: every call is signed with one of them. */
  readonly accessKeys?: Readonly<Record<string, string>> | undefined;
  /** How far a signature's time may be from this node's, in milliseconds. Default 300,000; Dubbo doesn't look. */
  readonly maxSkewMs?: number | undefined;
  /** Who may call what. Without rules everybody who got so far may call everything; with them nobody else may. */
  readonly allow?: readonly AllowRule[] | undefined;
}

/** "*" stands for all. */
export interface AllowRule {
  /** Access keys, or the common names of certificates. */
  readonly callers: readonly string[];
  /** By their names on the wire: "Do". */
  readonly methods: readonly string[];
}

const defaultSkewMs = 300_000;

/**
 * Lets a call through, or ends it UNAUTHENTICATED (nobody knows who calls) or PERMISSION_DENIED (it may not). What the caller is
 * told names no secret, and not which part of a signature is wrong.
 */
export function guard(settings: GuardSettings, service: string): Filter {
  const { token, accessKeys, maxSkewMs = defaultSkewMs, allow } = settings;
  return (call, request, next) => {
    if (token !== undefined && !isSame(call.metadata.get("token") ?? "", token)) {
      return refused("UNAUTHENTICATED", "the token is missing or wrong", "it is in the provider's registration");
    }
    if (accessKeys !== undefined) {
      const problem = signatureProblem(call, { accessKeys, maxSkewMs, service });
      if (problem !== undefined)
        return refused("UNAUTHENTICATED", problem, "sign calls with an access key of the provider's");
      // Signed is the key; the caller's application stands beside it and proves nothing.
      call.principal = call.metadata.get("ak");
    }
    if (allow !== undefined) {
      const { principal } = call;
      if (principal === undefined)
        return refused("UNAUTHENTICATED", "nobody knows who calls", "use an access key or a certificate");
      if (!allow.some((rule) => isAllowed(rule, principal, call.method))) {
        const method = call.method.slice(call.method.lastIndexOf("/") + 1);
        return refused(
          "PERMISSION_DENIED",
          `${principal} may not call ${method}`,
          "a rule of the provider's would allow it",
        );
      }
    }
    return next(call, request);
  };
}

function signatureProblem(
  call: Call,
  options: {
    readonly accessKeys: Readonly<Record<string, string>>;
    readonly maxSkewMs: number;
    readonly service: string;
  },
): string | undefined {
  const { accessKeys, maxSkewMs, service } = options;
  const accessKey = call.metadata.get("ak");
  const timestamp = call.metadata.get("timestamp") ?? "";
  const signature = call.metadata.get("signature");
  if (accessKey === undefined || signature === undefined) return "the call isn't signed";
  const timestampMs = /^\d{1,15}$/.test(timestamp) ? Number(timestamp) : NaN;
  const secret = Object.hasOwn(accessKeys, accessKey) ? accessKeys[accessKey]! : undefined;
  const expected = signatureOf({ path: call.method, service, timestampMs }, secret ?? "");
  if (!isSame(signature, expected) || secret === undefined) return "the signature is wrong";
  if (!(Math.abs(call.clock.wallMs() - timestampMs) <= maxSkewMs))
    return "the signature is too old, or from the future";
  return undefined;
}

function isAllowed({ callers, methods }: AllowRule, principal: string, path: string): boolean {
  const method = path.slice(path.lastIndexOf("/") + 1);
  const isIn = (list: readonly string[], name: string): boolean => list.includes("*") || list.includes(name);
  return isIn(callers, principal) && isIn(methods, method);
}

const refused = (code: "UNAUTHENTICATED" | "PERMISSION_DENIED", message: string, hint: string): Promise<never> =>
  Promise.reject(new RpcError(message, { code, hint }));
