import { affinity } from "./affinity.ts";
import { canary } from "./canary.ts";
import { condition } from "./condition.ts";
import type { RouterPolicy } from "./router.ts";
import { tag } from "./tag.ts";

/**
 * The built-in routers by name; every one takes part, in this order: Dubbo's in Dubbo's order (tag, affinity, condition), then
 * the canary, which splits what they have left.
 */
export const routers: Readonly<Record<string, RouterPolicy>> = { tag, affinity, condition, canary };
