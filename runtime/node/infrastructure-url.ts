import { RpcError } from "../call/status.ts";
import { isHostAndPort } from "../discovery/dubbo.ts";

/** A parameter's default, and the values that it takes; a default that is a number takes numbers. */
export type UrlParameters = Readonly<
  Record<string, { readonly default: string; readonly values?: readonly string[]; readonly pattern?: RegExp }>
>;

/**
 * Reads "nacos://host:port?name=value". Throws INVALID_ARGUMENT, with a hint, for an address that can't be dialled, for what the
 * registry doesn't support in a URL, and for parameters and values that aren't known.
 */
export function parseInfrastructureUrl<T extends UrlParameters>(
  text: string,
  {
    name,
    example,
    defaultPort,
    parameters,
  }: {
    /** "Nacos" */
    readonly name: string;
    readonly example: string;
    readonly defaultPort: number;
    readonly parameters: T;
  },
): { readonly address: string; readonly values: { readonly [K in keyof T]: string } } {
  const refuse = (message: string, hint = `for example ${example}`): RpcError =>
    new RpcError(`the URL of ${name}: ${message}`, { code: "INVALID_ARGUMENT", hint });
  const match = /^[a-z]+:\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(text);
  if (match === null) throw refuse(`"${text.slice(0, 100)}" is no URL`);
  const [, authority = "", path = "", query = ""] = match;
  if (authority.includes("@"))
    throw refuse("names and passwords aren't supported", "use a server without authentication");
  if (authority.includes(",")) throw refuse("one server only", "a load balancer's address may stand for several");
  if (path !== "" && path !== "/") throw refuse(`a path has no meaning: "${path.slice(0, 60)}"`);
  const address = /:\d+$/.test(authority) ? authority : `${authority}:${defaultPort}`;
  if (!isHostAndPort(address)) throw refuse(`"${authority.slice(0, 100)}" is no address`);
  const values: Record<string, string> = {};
  for (const [key, parameter] of Object.entries(parameters)) values[key] = parameter.default;
  for (const [key, value] of new URLSearchParams(query)) {
    const parameter = Object.hasOwn(parameters, key) ? parameters[key] : undefined;
    const names = Object.keys(parameters).join(", ");
    if (parameter === undefined) throw refuse(`it has no parameter "${key}"`, `it has ${names}`);
    if (parameter.values !== undefined && !parameter.values.includes(value)) {
      throw refuse(`${key} can't be "${value}"`, `${key} is ${parameter.values.join(" or ")}`);
    }
    if (parameter.pattern !== undefined && !parameter.pattern.test(value)) {
      throw refuse(`${key} can't be "${value}"`, `it must match ${parameter.pattern.source}`);
    }
    values[key] = value;
  }
  return { address, values: values as { readonly [K in keyof T]: string } };
}
