import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import { Aimd, type AimdSettings } from "./aimd.ts";
import { fixed } from "./fixed.ts";
import { Gradient2, type Gradient2Settings } from "./gradient2.ts";
import { HillClimbing } from "./hill-climbing.ts";
import type { LimitAlgorithm } from "./limit.ts";
import { Vegas } from "./vegas.ts";
import { Windowed } from "./windowed.ts";

export const limitKinds = ["fixed", "aimd", "gradient2", "vegas", "hill-climbing"] as const;

export interface LimitSettings extends AimdSettings, Gradient2Settings {
  /** How the limit is found. Default "gradient2". */
  readonly kind?: (typeof limitKinds)[number] | undefined;
  /** Tells the algorithm of so much time at once, in milliseconds, instead of each call. Default 0: each call. */
  readonly windowMs?: number | undefined;
}

/** The algorithm that the settings name. */
export function limitOf(
  settings: LimitSettings,
  ports: { readonly clock: Clock; readonly random: Random },
): LimitAlgorithm {
  const { windowMs = 0 } = settings;
  const algorithm = algorithmOf(settings, ports);
  return windowMs > 0 ? new Windowed(algorithm, windowMs * 1000, () => ports.clock.nowUs()) : algorithm;
}

function algorithmOf(
  settings: LimitSettings,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): LimitAlgorithm {
  switch (settings.kind ?? "gradient2") {
    case "fixed":
      return fixed(settings);
    case "aimd":
      return new Aimd(settings);
    case "gradient2":
      return new Gradient2(settings);
    case "vegas":
      return new Vegas(settings, random);
    case "hill-climbing":
      return new HillClimbing(settings, () => clock.nowUs());
  }
}
