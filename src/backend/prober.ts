/** Asks each back end from time to time what it can do. Speaks no protocol itself: it is handed how to ask. */
import type { ProtocolName } from '../config/settings.ts'
import { asMuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Address } from './addresses.ts'
import type { Backend, Backends } from './backends.ts'
import type { CapabilityBook } from './capabilities.ts'
import type { LiveBackends } from './live-backends.ts'

/** Servers change what they can do when they are upgraded; five minutes late does no harm, and the probe leaves a line in their log. */
const PROBE_EVERY_MS = 300_000
/** An answer that takes longer is no answer: the next round asks again. */
const PROBE_DEADLINE_MS = 5000

export type Prober = {
  /** Asks every back end for every protocol, once; failures are logged and change nothing. */
  probeAll(): Promise<void>
  stop(): void
}

export function startProber(
  backends: () => Backends,
  live: Pick<LiveBackends, 'of'>,
  ask: (backend: Backend, address: Address, protocol: ProtocolName, signal: AbortSignal) => Promise<string[]>,
  book: CapabilityBook,
  log: Log,
): Prober {
  async function probe(backend: Backend, protocol: ProtocolName): Promise<void> {
    const { name } = backend.settings
    const [place] = live.of(backend.settings).addresses(protocol)
    if (!place) return
    try {
      book.learn(protocol, name, await ask(backend, place.address, protocol, AbortSignal.timeout(PROBE_DEADLINE_MS)))
    } catch (error) {
      const { code, message } = asMuxError(error)
      log.warn({ backend: name, protocol, code, detail: message }, 'back end does not tell its capabilities')
    }
  }
  const probeAll = async (): Promise<void> => {
    const questions = [...backends().values()].flatMap((backend) =>
      (Object.keys(backend.settings.ports) as ProtocolName[]).map((protocol) => probe(backend, protocol)),
    )
    await Promise.all(questions)
  }
  const timer = setInterval(() => void probeAll(), PROBE_EVERY_MS)
  return { probeAll, stop: () => clearInterval(timer) }
}
