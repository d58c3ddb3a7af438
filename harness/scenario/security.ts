import { z } from "zod";

import { durationFrom } from "./units.ts";

/** Who may call whom, as scenarios say it: runtime/security has what each means, and its default. No scenario states a secret. */

const accessKey = z
  .string()
  .regex(/^[a-z][a-z0-9-]*$/, { error: "an access key: lower-case letters, digits and dashes" });

/** Of whoever serves. */
export const serverSecurity = {
  /** Whom it lets in. Default: everybody. */
  guard: z
    .strictObject({
      /** Every call carries a token, which callers find in the registry. */
      token: z.literal(true).optional(),
      /** The names of keys: every call is signed with the secret of one of them. */
      accessKeys: z.array(accessKey).min(1).optional(),
      /** How far a signature's time may be from the instance's. */
      maxSkew: durationFrom("0s", "1440m").optional(),
      /** Who may call what: access keys or, with mutual TLS, the services of the callers; methods by name; "*" is all. */
      allow: z
        .array(
          z.strictObject({ callers: z.array(z.string().min(1)).min(1), methods: z.array(z.string().min(1)).min(1) }),
        )
        .optional(),
    })
    .optional(),
};

/** Of whoever calls. */
export const clientSecurity = {
  /** What its calls are signed with: the key's own secret, or one that somebody made up. */
  credentials: z.strictObject({ accessKey, forged: z.boolean().optional() }).optional(),
};
