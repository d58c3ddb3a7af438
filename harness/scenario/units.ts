import { z } from "zod";

const aDuration = 'a duration such as "250ms", "3s" or "2m"';
/** "250us", "20ms", "1.5s", "2m": a number and its unit. */
export const duration = z.string({ error: aDuration }).regex(/^\d+(\.\d+)?(us|ms|s|m)$/, { error: aDuration });

const aShare = 'a share such as "99%" or 0.99';
/** "99%" or 0.99. */
export const fraction = z.union([
  z.number({ error: aShare }).min(0).max(1),
  z.string({ error: aShare }).regex(/^(100(\.0+)?|\d{1,2}(\.\d+)?)%$/, { error: aShare }),
]);

const aSignedDuration = 'a duration with its sign such as "10m" or "-2s"';
/** "-10m", "250ms": a duration, and in which direction. */
export const signedDuration = z
  .string({ error: aSignedDuration })
  .regex(/^[+-]?\d+(\.\d+)?(us|ms|s|m)$/, { error: aSignedDuration });
