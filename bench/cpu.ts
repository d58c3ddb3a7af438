/** CPU time that this thread has used: on a busy machine its wall time has others' in it. */
export function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
