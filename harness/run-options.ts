import type { LoadDriver } from "./load/driver.ts";
import type { CoordinatorName, RegistryName } from "./scenario/plan.ts";
import type { Turn } from "./turn.ts";
import type { Sabotage, World } from "./worlds/world.ts";

/** How far a run has come, for people who watch. */
export interface Progress {
  readonly phase: "starting" | "warming up" | "running" | "draining" | "judging";
  /** Of the load, 0 to 1. */
  readonly fraction?: number;
  readonly message: string;
  readonly calls?: number;
  readonly failed?: number;
  /** The fault that is there now. */
  readonly fault?: string;
}

export interface RunOptions {
  readonly world: World;
  readonly seed: number;
  /** What serves as registry. Default: what the scenario says. */
  readonly registry?: RegistryName | undefined;
  /** What coordinates the transactions of a bank. Default "embedded". */
  readonly coordinator?: CoordinatorName | undefined;
  /** The run directory; undefined writes nothing. */
  readonly out?: string | undefined;
  /** Ends the run early: faults are healed, the fleet is stopped, and what was recorded is judged and reported. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** The `--set` options that made this scenario: for the command that replays the run. */
  readonly sets?: readonly string[] | undefined;
  /** How the scenario is named on a command line: its name, or a file. Default: its name. */
  readonly reference?: string | undefined;
  /** World `local`: nodes that share a process, at most. Default: each has its own. */
  readonly pack?: number | undefined;
  /** Where the scenario's file is; see `PlanOptions`. */
  readonly directory?: string | undefined;
  /** Makes the calls from outside of the fleet. Default: the fleet's own consumers make them. */
  readonly load?: LoadDriver | undefined;
  /** Its part in a round of runs side by side. Default: it is alone. */
  readonly turn?: Turn | undefined;
  /** A planted defect (`sim`): tests show with it that a check can fail. */
  readonly sabotage?: Sabotage | undefined;
  /**
   * Whether `sim` may play the run again without a fault, where nothing else can tell its effect. Default true; false: for who asks for the
   * checks alone, and for many seeds. What only such a run can tell of a fault then stays unproven.
   */
  readonly hasControls?: boolean | undefined;
}
