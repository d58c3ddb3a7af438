import { z } from "zod";

/** "250us", "20ms", "1.5s", "2m": a number and its unit. */
export const duration = z
  .string()
  .regex(/^\d+(\.\d+)?(us|ms|s|m)$/, { error: 'a duration such as "250ms", "3s" or "2m"' });

/** "99%" or 0.99. */
export const fraction = z.union([
  z.number().min(0).max(1),
  z.string().regex(/^(100(\.0+)?|\d{1,2}(\.\d+)?)%$/, { error: 'a share such as "99%" or 0.99' }),
]);

/** "-10m", "250ms": a duration, and in which direction. */
export const signedDuration = z
  .string()
  .regex(/^[+-]?\d+(\.\d+)?(us|ms|s|m)$/, { error: 'a duration with its sign such as "10m" or "-2s"' });
