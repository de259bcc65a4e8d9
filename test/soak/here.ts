/** Where a long run was done, as one line of its account. */
import { cpus, loadavg, release, totalmem } from 'node:os'

export function describeHere(): string {
  const processors = cpus()
  const model = processors[0]?.model ?? 'unknown'
  const load = (loadavg()[0] ?? 0).toFixed(2)
  const memoryMiB = Math.round(totalmem() / 2 ** 20)
  return `${processors.length} × ${model}, ${memoryMiB} MiB, Linux ${release()}, node ${process.version}, load ${load} before`
}
