/**
 * How the bank's account and stock take part in an order's transaction. A mode plugs in at these places: its name here, which the schema,
 * the planner and the programs' configurations take their choice from; what `order`, `account` and `stock` do in it, beside this file; its
 * steps in `BranchStep` (runtime/telemetry/events.ts) and what it leaves behind in `RunningReservations.audit`; what its steps mean to
 * the judge in `harness/judge/branches.ts`.
 */
export const bankModes = ["tcc", "at"] as const;

export type BankMode = (typeof bankModes)[number];
