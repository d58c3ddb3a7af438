import type { Metadata } from "../call/metadata.ts";

/** The metadata key under which a transaction travels with a call: Seata's `TX_XID`, in the lower case of gRPC's wire. */
export const xidKey = "tx_xid";
/** What seata-go's Dubbo filter writes beside it. */
const keys = [xidKey, "seata_xid"];

/** An xid: the address of the coordinator that began it, and a number: "10.0.0.1:8091:6467720403699692336". */
export function formatXid(address: string, transactionId: string): string {
  return `${address}:${transactionId}`;
}

/** Whose transaction it is, and its number; undefined for what is no xid. */
export function parseXid(xid: string): { readonly address: string; readonly transactionId: string } | undefined {
  const colon = xid.lastIndexOf(":");
  const transactionId = xid.slice(colon + 1);
  if (colon <= 0 || !/^\d{1,19}$/.test(transactionId)) return undefined;
  return { address: xid.slice(0, colon), transactionId };
}

/** The transaction that a call belongs to; undefined outside of any. */
export function xidOf(metadata: Metadata): string | undefined {
  for (const key of keys) {
    const xid = metadata.get(key);
    if (xid !== undefined && xid !== "") return xid;
  }
  return undefined;
}

/** The metadata of calls that belong to a transaction: what was there stays there. */
export function withXid(metadata: Metadata, xid: string): Metadata {
  return new Map([...withoutXid(metadata), [xidKey, xid]]);
}

/** The metadata of calls that don't. */
export function withoutXid(metadata: Metadata): Metadata {
  return new Map([...metadata].filter(([key]) => !keys.includes(key)));
}
