import { below } from "../balancing/weighted-draw.ts";
import { RpcError } from "../call/status.ts";
import type { Call } from "../call/call.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Random } from "../ports/random.ts";
import type { Attempts, ClusterPolicy } from "./cluster.ts";
import { failover } from "./failover.ts";
import type { ZoneAwareSettings } from "./settings.ts";

/** The weight of a zone that has none of its own. */
const defaultWeight = 100;

/**
 * Zone-aware (Dubbo): the zone is chosen first and the instance in it second. Dubbo's zones are registries; here they are the label
 * `zone` of the instances. First the `preferred` zones that have an instance, then the caller's own (`zone`, or what the call's
 * metadata `registry.zone` says), then, unless `force` (`registry.zone.force`) forbids it, one of the others by `weights`.
 * Within a zone it is failover. Dubbo stays in the zone that it chose; here a call whose attempts have met every
 * instance of a zone goes on to the next.
 */
export const zoneAware: ClusterPolicy = (settings, ports) => {
  const { zoneAware: zones = {} } = settings;
  const { random } = ports;
  const inZone = failover(settings, { ...ports, random: random.fork("failover") });
  const divisions = new WeakMap<readonly Endpoint[], Division>();

  const divided = (endpoints: readonly Endpoint[]): Division => {
    let division = divisions.get(endpoints);
    if (division === undefined) divisions.set(endpoints, (division = divide(endpoints)));
    return division;
  };
  return (attempts) => {
    // One draw for each call: its attempts go through the zones in one order.
    let order: readonly string[] | undefined;
    const pick: Attempts["pick"] = (tried) => {
      const division = divided(attempts.candidates());
      order ??= orderOf(division, attempts.call, zones, random);
      const members = order.flatMap((zone) => division.get(zone) ?? []);
      const [zone] = order.filter((name) => division.get(name)?.some(({ key }) => !isTried(tried, key)));
      // Every instance was tried: once more from the beginning.
      const among = division.get(zone ?? order.find((name) => division.has(name)) ?? "");
      return members.length === 0 || among === undefined ? undefined : attempts.pick(tried, among);
    };
    const noInstance = (): RpcError => {
      const known = attempts.candidates().length;
      if (known === 0) return attempts.noInstance();
      return new RpcError(
        `none of ${known} instances of ${attempts.call.service} is in a zone that this call may go to`,
        {
          code: "UNAVAILABLE",
          hint: 'leave out "force", or start an instance in the zone',
        },
      );
    };
    return inZone({
      call: attempts.call,
      candidates: () => attempts.candidates(),
      pick,
      send: (endpoint, options) => attempts.send(endpoint, options),
      noInstance,
      empty: () => attempts.empty(),
      atDeadline: (response) => attempts.atDeadline(response),
      again: (run) => attempts.again(run),
    });
  };
};

/** Instances that can be picked, by zone: those without the label are in the zone "". */
type Division = ReadonlyMap<string, readonly Endpoint[]>;

function divide(endpoints: readonly Endpoint[]): Division {
  const division = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    if (endpoint.weight === 0) continue;
    const zone = endpoint.metadata["zone"] ?? "";
    const members = division.get(zone);
    if (members === undefined) division.set(zone, [endpoint]);
    else members.push(endpoint);
  }
  return division;
}

/** The zones that a call may go to, the best one first. */
function orderOf(division: Division, call: Call, settings: ZoneAwareSettings, random: Random): readonly string[] {
  const { preferred = [], weights = {} } = settings;
  const own = call.metadata.get("registry.zone") ?? call.metadata.get("registry_zone") ?? settings.zone;
  const first = own === undefined || preferred.includes(own) ? preferred : [...preferred, own];
  const force = call.metadata.get("registry.zone.force") ?? call.metadata.get("registry_zone_force");
  if (own !== undefined && (force === undefined ? settings.force === true : force === "true")) return first;
  const others = [...division.keys()].filter((zone) => !first.includes(zone));
  return [...first, ...shuffled(others, (zone) => weights[zone] ?? defaultWeight, random)];
}

/** Each place goes to one of those left, in proportion to the weights; those of weight 0 come last, as they are. */
function shuffled(zones: readonly string[], weightOf: (zone: string) => number, random: Random): readonly string[] {
  const left = [...zones];
  const order: string[] = [];
  for (let total = sum(left.map(weightOf)); total > 0; total = sum(left.map(weightOf))) {
    let draw = below(random, total);
    const index = left.findIndex((zone) => (draw -= weightOf(zone)) < 0);
    order.push(...left.splice(index, 1));
  }
  return [...order, ...left];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const isTried = (tried: readonly Endpoint[], key: string): boolean => tried.some((other) => other.key === key);
