import { Call } from "../../runtime/call/call.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { Disk } from "../../runtime/ports/disk.ts";
import type { Response, Transport } from "../../runtime/ports/transport.ts";
import type { PhaseTwo } from "../../runtime/transactions/proto/coordinator_pb.ts";
import type { NodeContext } from "../../services/service.ts";
import type { RunningFleet } from "../worlds/world.ts";
import { machines, type Fault, type Machine, type Point, type Step } from "./point.ts";

/** Longer than every timeout of the transaction that is tried, so that it is over by then, one way or the other. */
const longUs = 8_000_000;
const shortUs = 100_000;

/** The messages of a transaction: what its parts ask each other. */
const isOfTransaction = (path: string): boolean =>
  /(Reservations\/|Coordinator\/(Begin|Commit|Rollback|RegisterBranch|ReportBranch|LockQuery|Answer)$)/.test(path);

/** What is durable of transactions, and of rows; not what a machine remembers of the registry. */
const isOfLog = (what: string): boolean => !what.includes(" instances-");

/**
 * Sits at the ports of a bank's machines, disk and transport: notes every step that they take, and lets one fault happen at one of them.
 * Everything else goes its way.
 */
export class Injector {
  readonly steps: Step[] = [];
  /** The fault has happened. */
  hasStruck = false;
  readonly #point: Point | undefined;
  /** Calls that always fail, by the end of their path: what the case that is tried is about. */
  readonly #failing: string | undefined;
  readonly #counts = new Map<string, number>();
  #fleet: RunningFleet | undefined;

  constructor({ point, failing }: { readonly point?: Point | undefined; readonly failing?: string | undefined }) {
    this.#point = point;
    this.#failing = failing;
  }

  /** From here on steps count. */
  arm(fleet: RunningFleet): void {
    this.#fleet = fleet;
  }

  /** From here on nothing counts, and nothing happens any more. */
  disarm(): void {
    this.#fleet = undefined;
  }

  readonly ports = (node: string, context: NodeContext): NodeContext => {
    const machine = machines.find((one) => one === node);
    if (machine === undefined) return context;
    const { disk, transport, clock } = context;
    return { ...context, disk: this.#disk(machine, disk), transport: this.#transport(machine, transport, clock) };
  };

  #disk(machine: Machine, disk: Disk): Disk {
    const writing = async (what: string, write: () => Promise<void>): Promise<void> => {
      const fault = isOfLog(what) ? this.#next(machine, "write", what) : undefined;
      if (fault === undefined || !("moment" in fault)) return write();
      if (fault.moment === "after") await write();
      this.#strike(fault);
      if (fault.machine === machine) return new Promise(() => undefined);
    };
    return {
      read: (name) => disk.read(name),
      append: (name, bytes) => disk.append(name, bytes),
      remove: (name) => disk.remove(name),
      sync: (name) => writing(`sync ${name}`, () => disk.sync(name)),
      rename: (from, to) => writing(`rename ${to}`, () => disk.rename(from, to)),
    };
  }

  #transport(machine: Machine, transport: Transport, clock: Clock): Transport {
    return {
      listen: (options) => transport.listen(options),
      release: (address) => transport.release(address),
      close: () => transport.close(),
      invoke: async (address, method, call, request) => {
        const send = (under: Call): Promise<Response> => transport.invoke(address, method, under, request);
        const { path } = method;
        if (path.endsWith("Coordinator/Serve")) return this.#onStream(machine, clock, await send(call));
        if (!isOfTransaction(path)) return send(call);
        if (this.#fleet !== undefined && this.#failing !== undefined && path.endsWith(this.#failing)) {
          throw new RpcError("it can't be done", { code: "INTERNAL" });
        }
        const fault = this.#next(machine, "message", path.slice(path.lastIndexOf(".") + 1));
        if (fault === undefined) return send(call);
        this.hasStruck = true;
        // A copy of its own: whoever sent it may have given up when it arrives, and doesn't hear of it.
        const { service, method: name, metadata } = call;
        const copy = (): Call => new Call({ clock, service, method: name, metadata, timeoutUs: 10_000_000 });
        const later = (delayUs: number): void => {
          clock.after(delayUs, () => void send(copy()).catch(() => undefined));
        };
        switch (fault.kind) {
          case "lost":
            return unanswered(call);
          case "late":
            later(longUs);
            return unanswered(call);
          case "reply-lost":
            void send(copy()).catch(() => undefined);
            return unanswered(call);
          case "reply-late": {
            const reply = send(copy()).finally(() => clock.sleep(longUs));
            return Promise.race([unanswered(call), reply]);
          }
          case "duplicated":
            later(1_000);
            return send(call);
          case "duplicated-late":
            later(longUs);
            return send(call);
          case "crash":
          case "restart":
            throw new TypeError(`a machine's fault at a message: ${fault.kind}`);
        }
      },
    };
  }

  /** What the coordinator asks in phase two comes on a stream. */
  #onStream(machine: Machine, clock: Clock, response: Response): Response {
    if (response.kind !== "stream") return response;
    const next = (): Fault | undefined => this.#next(machine, "message", "Coordinator/PhaseTwo");
    const strike = (): void => void (this.hasStruck = true);
    return { kind: "stream", messages: altered(response.messages, next, strike, clock) };
  }

  #next(machine: Machine, kind: Step["kind"], what: string): Fault | undefined {
    if (this.#fleet === undefined) return undefined;
    const key = `${machine} ${kind}`;
    const number = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, number);
    this.steps.push({ machine, kind, number, what });
    const { step, fault } = this.#point ?? {};
    const isIt = step?.machine === machine && step.kind === kind && step.number === number;
    return isIt && !this.hasStruck ? fault : undefined;
  }

  #strike({ kind, machine }: Extract<Fault, { readonly moment: string }>): void {
    const fleet = this.#fleet!;
    const node = fleet.nodes.get(machine)!;
    this.hasStruck = true;
    void node.kill();
    fleet.clock.after(kind === "crash" ? longUs : shortUs, () => void node.restart().catch(() => undefined));
  }
}

/** No answer ever comes: its caller waits as long as it wants. */
const unanswered = (call: Call): Promise<never> =>
  new Promise((_, reject) => {
    call.onCancel(reject);
  });

async function* altered(
  messages: AsyncIterable<unknown>,
  next: () => Fault | undefined,
  strike: () => void,
  clock: Clock,
): AsyncIterable<unknown> {
  for await (const message of messages) {
    // A sign of life is no message of a transaction.
    const fault = (message as PhaseTwo).branches.length === 0 ? undefined : next();
    if (fault !== undefined) strike();
    if (fault?.kind === "lost") continue;
    if (fault?.kind === "late") await clock.sleep(longUs);
    yield message;
    if (fault?.kind === "duplicated") yield message;
    if (fault?.kind === "duplicated-late") {
      await clock.sleep(longUs);
      yield message;
    }
  }
}
