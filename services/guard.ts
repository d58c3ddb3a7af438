import type { AllowRule, GuardSettings } from "../runtime/security/guard.ts";
import type { Credentials } from "../runtime/security/signature.ts";
import type { ConfigReader } from "./config.ts";
import { ConfigError } from "./service.ts";

/** Whom a provider lets in, from its configuration. What is wrong is named without its value: it may be a secret. */
export function parseGuard(reader: ConfigReader | undefined): GuardSettings | undefined {
  if (reader === undefined) return undefined;
  const keys = reader.object("accessKeys");
  const settings: GuardSettings = {
    token: secretOf(reader, "token"),
    accessKeys: keys && Object.fromEntries(keys.keys().map((name) => [name, requiredSecret(keys, name)])),
    maxSkewMs: reader.number("maxSkewMs", { min: 0, max: 86_400_000 }),
    allow: parseAllow(reader.raw("allow")),
  };
  reader.end();
  return settings;
}

/** What a caller signs with. */
export function parseCredentials(reader: ConfigReader | undefined): Credentials | undefined {
  if (reader === undefined) return undefined;
  const credentials = { accessKey: reader.requiredText("accessKey"), secret: requiredSecret(reader, "secret") };
  reader.end();
  return credentials;
}

function secretOf(reader: ConfigReader, key: string): string | undefined {
  const value = reader.raw(key);
  if (value === undefined) return undefined;
  // Metadata are printable ASCII, and so is what travels as such.
  if (typeof value === "string" && /^[\x21-\x7e]{1,256}$/.test(value)) return value;
  throw new ConfigError(`${key} is a secret of 1 to 256 printable characters without spaces`);
}

function requiredSecret(reader: ConfigReader, key: string): string {
  const secret = secretOf(reader, key);
  if (secret === undefined) throw new ConfigError(`the secret ${key} is missing`);
  return secret;
}

function parseAllow(value: unknown): readonly AllowRule[] | undefined {
  if (value === undefined) return undefined;
  const isTexts = (list: unknown): boolean => Array.isArray(list) && list.every((text) => typeof text === "string");
  const isRule = (rule: unknown): rule is AllowRule => {
    if (typeof rule !== "object" || rule === null) return false;
    const { callers, methods, ...more } = rule as Record<string, unknown>;
    return isTexts(callers) && isTexts(methods) && Object.keys(more).length === 0;
  };
  if (Array.isArray(value) && value.every(isRule)) return value;
  throw new ConfigError("allow is a list of rules", '[{"callers": ["storefront"], "methods": ["Do"]}]');
}
