/** How a task can end, as its server saw it; `lost`: its node died first. */
export const taskFates = ["answered", "given-up", "out-of-time", "refused", "lost"] as const;

export type TaskFate = (typeof taskFates)[number];
