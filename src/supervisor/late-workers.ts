/** Orders that each worker confirms. One that does not is named: it may act by its old state. */
import type { BoundPorts } from '../listener/bound-ports.ts'
import type { Worker } from './worker-interface.ts'

/** @returns the numbers of those that have not confirmed */
export async function findLate<W extends Pick<Worker, 'number'>>(
  workers: readonly W[],
  confirms: (worker: W) => Promise<boolean>,
): Promise<number[]> {
  const late = workers.map(async (worker) => ((await confirms(worker)) ? [] : [worker.number]))
  return (await Promise.all(late)).flat()
}

/**
 * Closes the ports in this process and in the workers. A process that is started in the place of one that has ended gets the ports that are
 * bound then.
 * @returns the numbers of the workers that may have ports open. If one is starting or silent, nothing is closed: it would not hear the order
 */
export async function closePorts(
  ports: Pick<BoundPorts, 'prepare'> | undefined,
  workers: readonly Pick<Worker, 'number' | 'ask' | 'state'>[],
  withinMs: number,
): Promise<number[]> {
  const deaf = workers.filter((worker) => !['up', 'ended'].includes(worker.state()))
  if (deaf.length > 0) return deaf.map(({ number }) => number)
  const none = await ports?.prepare([])
  none?.commit()
  return findLate(workers, async (worker) => {
    const isClosed = await worker.ask({ what: 'closePorts' }, withinMs).catch(() => false)
    return isClosed || worker.state() === 'ended'
  })
}
