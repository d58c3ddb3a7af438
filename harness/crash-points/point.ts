/** How the machines of a bank are named, by the part that they play in a transaction: TM (and where a saga is), RMs, TC. */
export const machines = ["order/0", "account/0", "stock/0", "coordinator/0"] as const;

export type Machine = (typeof machines)[number];

/** A step of a healthy run: a machine makes something durable, or sends or gets a message of the transaction. */
export interface Step {
  readonly machine: Machine;
  readonly kind: "write" | "message";
  /** Which of its kind at this machine, from 1. */
  readonly number: number;
  /** For people: "sync rows-log.ndjson", "Coordinator/Begin". */
  readonly what: string;
}

/** What may happen to a message. */
export const messageFaults = ["lost", "reply-lost", "reply-late", "duplicated", "duplicated-late", "late"] as const;

/** A machine dies and is back at once, or only when every timeout of the transaction is over. */
export const outages = ["restart", "crash"] as const;

export type Fault =
  | { readonly kind: (typeof messageFaults)[number] }
  /** `before`: what is being written may be on the disk or not, or in part; `after`: it is there, and nobody has heard of it. */
  | { readonly kind: (typeof outages)[number]; readonly machine: Machine; readonly moment: "before" | "after" };

/** One fault at one step. */
export interface Point {
  readonly step: Step;
  readonly fault: Fault;
}

/** Every step of a healthy run, and everything that may happen there. */
export function pointsOf(steps: readonly Step[]): readonly Point[] {
  return steps.flatMap((step): Point[] => faultsAt(step).map((fault) => ({ step, fault })));
}

function faultsAt({ kind, machine: writer, what }: Step): readonly Fault[] {
  if (kind === "message") {
    // What comes on a stream has no reply.
    return messageFaults
      .filter((fault) => !fault.startsWith("reply") || !what.endsWith("PhaseTwo"))
      .map((fault) => ({ kind: fault }));
  }
  return machines.flatMap((machine) =>
    (machine === writer ? (["before", "after"] as const) : (["after"] as const)).flatMap((moment) =>
      outages.map((outage) => ({ kind: outage, machine, moment })),
    ),
  );
}

/** As it is told, and asked for again: "order/0 message 3 reply-lost", "account/0 write 2 crash order/0 after". */
export function nameOf({ step, fault }: Point): string {
  const detail = "machine" in fault ? ` ${fault.machine} ${fault.moment}` : "";
  return `${step.machine} ${step.kind} ${step.number} ${fault.kind}${detail}`;
}
