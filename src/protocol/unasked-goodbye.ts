/** The goodbyes to a session that relays, one for each reason for which mailmux ends a session at a safe point. Pure. */
import type { Goodbye, UnaskedGoodbye } from './protocol.ts'

/** @param line the goodbye as a whole line; empty where the protocol has no line that a server may send unasked */
export function buildUnaskedGoodbye(line: (why: Goodbye) => string): UnaskedGoodbye {
  return {
    shutdown: line('shutting-down'),
    idle: line('idle'),
    moved: line('moved'),
    drained: line('drained'),
    rebalanced: line('rebalanced'),
    kicked: line('kicked'),
    disabled: line('disabled'),
  }
}

/** For POP3 (RFC 1939 has no such line), and for TLS that is not opened here. */
export const NO_GOODBYE: UnaskedGoodbye = buildUnaskedGoodbye(() => '')
