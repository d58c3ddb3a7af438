/** "10.0.0.7:20880" → "10.0.0.7" */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** "10.0.0.7:20880" → 20880 */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
