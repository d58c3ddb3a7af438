import { randomBytes } from "node:crypto";

import { secretsOf, type SecretOf } from "../../scenario/secrets.ts";

/** Secrets of a live run that nobody can guess, whatever its seed. They are in nobody's memory when it is over. */
export const freshSecrets = (): SecretOf => secretsOf(() => randomBytes(24).toString("hex"));
