/** A field section: names and values in turn, one character a byte. Shared by all who get the same block: nobody changes it. */
export interface Fields {
  readonly list: readonly string[];
  /** More than the limit was sent: the list has only what came before it. */
  readonly isTooLarge: boolean;
  /** All of them are known to be texts that a field may have; false, or absent: somebody has to look. */
  readonly isWellFormed?: boolean;
  /** What `fields.ts` found out about it, kept beside it because blocks are repeated. */
  checked?: { readonly role: string; readonly trouble: string | undefined } | undefined;
  /** What the protocol above read in it, kept for the same reason. */
  understood?: unknown;
}
