import { textOf } from "../call/argument.ts";
import type { Call } from "../call/call.ts";
import type { Filter } from "../call/filter.ts";
import { observedStream } from "../call/stream.ts";
import type { Clock } from "../ports/clock.ts";
import type { Telemetry } from "../ports/telemetry.ts";

/** Whose log it is, and when it is written. */
export interface AccessLogOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** The service that the node provides: the group of its interfaces, in Dubbo's words. */
  readonly service: string;
  /** Where it listens; asked for each line. */
  readonly local: () => string;
  /** Whether calls of this interface are logged; asked as they come in. */
  readonly isOn: (interfaceName: string) => boolean;
}

/** Longer arguments are cut off: one call must not fill a disk. Dubbo writes all of them. */
const argumentsMax = 4096;

/**
 * Dubbo's access log (Dubbo Java 3.3 `AccessLogFilter`): one line for each call that a provider serves, written when it is over: an answer
 * or an error, for a stream its end. What comes in while the log is off isn't logged, however long it takes. Metadata stands in no line, so
 * no token and no signature does.
 */
export function accessLog({ clock, telemetry, service, local, isOn }: AccessLogOptions): Filter {
  const logged: Filter = async (call, request, next) => {
    const [beginUs, beginMs] = [clock.nowUs(), clock.wallMs()];
    const log = (): void => {
      const line = accessLine(call, request, { service, local: local(), beginMs, endMs: clock.wallMs() });
      telemetry.emit({ type: "access", atUs: clock.nowUs(), beginUs, service, method: call.method, line });
    };
    let isStream = false;
    try {
      const response = await next(call, request);
      if (response.kind === "unary") return response;
      isStream = true;
      return { kind: "stream", messages: observedStream(response.messages, log, call) };
    } finally {
      if (!isStream) log();
    }
  };
  return (call, request, next) =>
    isOn(namesOf(call.method).interfaceName) ? logged(call, request, next) : next(call, request);
}

/**
 * Dubbo's line: `[in] -> [out] remote -> local - group/interface method(types) [arguments]`. Times are UTC; their last two digits
 * are 0, because Dubbo has milliseconds and five places.
 */
export function accessLine(
  { method, peer = "-" }: Pick<Call, "method" | "peer">,
  request: unknown,
  own: { readonly service: string; readonly local: string; readonly beginMs: number; readonly endMs: number },
): string {
  const { service, local, beginMs, endMs } = own;
  const { interfaceName, methodName } = namesOf(method);
  const type = (request as { readonly $typeName?: string } | undefined)?.$typeName ?? "";
  const text = `[${textOf(request) ?? ""}]`;
  const shown = text.length > argumentsMax ? `${text.slice(0, argumentsMax)}…` : text;
  const times = `[${timeOf(beginMs)}] -> [${timeOf(endMs)}]`;
  return `${times} ${peer} -> ${local} - ${service}/${interfaceName} ${methodName}(${type}) ${shown}`;
}

/** Of "/flyball.worker.v1.Worker/Do". */
function namesOf(path: string): { readonly interfaceName: string; readonly methodName: string } {
  const slash = path.lastIndexOf("/");
  return { interfaceName: path.slice(1, slash), methodName: path.slice(slash + 1) };
}

/** "2022-12-30 12:36:31.15900", from milliseconds since the epoch. */
function timeOf(wallMs: number): string {
  const ms = Math.floor(wallMs);
  const dayMs = 86_400_000;
  const [days, within] = [Math.floor(ms / dayMs), ms - Math.floor(ms / dayMs) * dayMs];
  const digits = (value: number, width: number): string => String(value).padStart(width, "0");
  const time = [3_600_000, 60_000, 1000].map((unit, index) =>
    digits(index === 0 ? Math.floor(within / unit) : Math.floor(within / unit) % 60, 2),
  );
  const { year, month, day } = dateOf(days);
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)} ${time.join(":")}.${digits(within % 1000, 3)}00`;
}

/** The civil date of a day since the epoch (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
function dateOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1,
  };
}
