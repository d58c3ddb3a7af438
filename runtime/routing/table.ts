import { canary } from "./canary.ts";
import type { RouterPolicy } from "./router.ts";
import { tag } from "./tag.ts";

/** The built-in routers by name; every one takes part, in this order. The canary comes after the lanes that it splits. */
export const routers: Readonly<Record<string, RouterPolicy>> = { tag, canary };
