import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import type { Response } from "../ports/transport.ts";
import type { Attempts, ClusterPolicy } from "./cluster.ts";
import { failover } from "./failover.ts";
import { Race } from "./race.ts";

/**
 * Forking (Dubbo): the call goes to `forks` (2) different instances at once and the first good answer wins; the others are cancelled (Dubbo
 * lets them run). It fails when all have failed, with the last one's error. The shortest time to an answer, for `forks` times the
 * load.
 */
export const forking: ClusterPolicy = (settings, ports) => {
  // A rule may ask for it live, and these calls mustn't happen twice.
  if (settings.idempotent === false) return failover(settings, ports);
  const { forks = 2 } = settings.forking ?? {};
  return (attempts) =>
    new Promise<Response>((resolve, reject) => {
      const endpoints = chosen(attempts, forks);
      if (endpoints.length === 0) return reject(attempts.noInstance());
      const race = new Race(attempts);
      let last: RpcError | undefined;
      for (const endpoint of endpoints) {
        race.start(endpoint, {}, (outcome) => {
          if (outcome.kind === "response") {
            race.over();
            resolve(outcome.response);
          } else {
            last = outcome.error;
            if (race.size === 0) reject(last);
          }
        });
      }
    });
};

/** So many different instances, by the balancer; fewer where there aren't so many that it would pick. */
function chosen(attempts: Attempts, forks: number): readonly Endpoint[] {
  const picked: Endpoint[] = [];
  const most = forks === 0 ? Infinity : forks;
  while (picked.length < most) {
    const endpoint = attempts.pick(picked);
    if (endpoint === undefined || picked.some(({ key }) => key === endpoint.key)) break;
    picked.push(endpoint);
  }
  return picked;
}
