/** One session of a client that works all the time: every command must be answered, or the session ends at a safe point. */
import { setTimeout as pass } from 'node:timers/promises'
import { markerSubject } from './dovecot.ts'
import type { MailClient } from './mail-client.ts'
import { between, pick } from './random.ts'
import type { ScriptedPeer } from './scripted-peer.ts'
import { STORES, type StoreName } from './site.ts'

export type SessionLimits = {
  /** a command that takes longer may be cut */
  endTimeoutMs: number
  /** whether the store was in trouble lately, so that it may have closed the connection itself */
  wasInTrouble: (store: StoreName) => boolean
}

/** How a session ended: by the client, by a goodbye at a safe point, or with the fault that it shows. */
export type SessionEnd = 'left' | 'ended' | { fault: string }

/** A command that has no answer yet. `begun`: the server has answered a part of it. */
type Pending = { text: string; sentMs: number; begun: boolean }

const MOST_REST_MS = 700
const MESSAGE = 'Subject: written in a session\r\n\r\nThis message is written while stores and routes change.\r\n'
/** Between two halves of a literal: the session is in the middle of a command for so long. */
const MOST_HALF_MS = 500

/** Reads from the marker at which store the session is; undefined if the session ended before. */
export async function findStore(client: MailClient, user: string): Promise<StoreName | undefined> {
  const { peer, protocol } = client
  let lines: string[]
  try {
    if (protocol === 'imap') {
      peer.send('s SELECT INBOX')
      await peer.expectUntil(/^s OK/)
      peer.send('m FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
      lines = await peer.expectUntil(/^m OK/)
    } else {
      await peer.ask('TOP 1 0', /^\+OK/)
      lines = await peer.expectUntil('.')
    }
  } catch {
    return undefined
  }
  return STORES.find((name) => lines.includes(`Subject: ${markerSubject(name, user)}`))
}

/**
 * Runs commands until `untilMs`, or until the session is ended.
 * @param answered is called after each answer, with the time at which its command was sent
 */
export async function work(
  client: MailClient,
  store: StoreName,
  random: () => number,
  untilMs: () => number,
  limits: SessionLimits,
  answered: (sentMs: number) => void,
): Promise<SessionEnd> {
  const { peer, protocol } = client
  const pending: Pending = { text: '', sentMs: 0, begun: false }
  const commands = protocol === 'imap' ? IMAP_COMMANDS : POP3_COMMANDS
  try {
    while (performance.now() < untilMs()) {
      const command = pick(random, commands)
      Object.assign(pending, { text: command.name, sentMs: performance.now(), begun: false })
      await command(peer, random, () => (pending.begun = true))
      answered(pending.sentMs)
      pending.text = ''
      await pass(between(random, 0, MOST_REST_MS))
    }
    return 'left'
  } catch (error) {
    return judgeEnd(error, pending, store, peer, protocol, limits)
  }
}

function judgeEnd(
  error: unknown,
  { text, sentMs, begun }: Pending,
  store: StoreName,
  peer: ScriptedPeer,
  protocol: MailClient['protocol'],
  { endTimeoutMs, wasInTrouble }: SessionLimits,
): SessionEnd {
  if (wasInTrouble(store)) return 'ended'
  const message = error instanceof Error ? error.message : String(error)
  const tookMs = performance.now() - sentMs
  if (!/^(line .*: )?connection ended before/.test(message)) return { fault: `${text} was not answered: ${message}` }
  if (begun && tookMs < endTimeoutMs) return { fault: `${text} was cut in the middle: ${message}` }
  // POP3 has no line for it: the connection is closed between two commands.
  const hasGoodbye = protocol === 'pop3' || peer.transcript.some((line) => line.startsWith('< * BYE [UNAVAILABLE] '))
  return hasGoodbye || tookMs >= endTimeoutMs ? 'ended' : { fault: `closed without BYE: ${message}` }
}

type Run = (peer: ScriptedPeer, random: () => number, begun: () => void) => Promise<void>

const IMAP_COMMANDS: readonly Run[] = [
  async function noop(peer) {
    peer.send('n NOOP')
    await peer.expectUntil(/^n OK/)
  },
  async function append(peer, random, begun) {
    peer.send(`a APPEND INBOX {${MESSAGE.length}}`)
    await peer.expectUntil(/^\+ /)
    begun()
    const half = MESSAGE.length >> 1
    peer.sendRaw(MESSAGE.slice(0, half))
    await pass(between(random, 0, MOST_HALF_MS))
    peer.sendRaw(`${MESSAGE.slice(half)}\r\n`)
    await peer.expectUntil(/^a OK/)
  },
  async function fetchBoth(peer, _random, begun) {
    peer.sendRaw('f FETCH 1 (BODY.PEEK[])\r\ng NOOP\r\n')
    await peer.expectUntil(/^\* 1 FETCH /)
    begun()
    await peer.expectUntil(/^f OK/)
    await peer.expectUntil(/^g OK/)
  },
  async function idle(peer, random) {
    peer.send('i IDLE')
    await peer.expectUntil(/^\+ /)
    // A client in IDLE is at rest: it may be ended at any time.
    await pass(between(random, 0, 3 * MOST_REST_MS))
    peer.send('DONE')
    await peer.expectUntil(/^i OK/)
  },
]

const POP3_COMMANDS: readonly Run[] = [
  async function noop(peer) {
    await peer.ask('NOOP', /^\+OK/)
  },
  async function retrieve(peer, _random, begun) {
    await peer.ask('RETR 1', /^\+OK/)
    begun()
    await peer.expectUntil('.')
  },
]
