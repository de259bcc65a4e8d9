/** A scripted mail client that speaks IMAP or POP3 behind one face, so that one table of tests proves a promise for both. */
import type { Scene } from './scene.ts'
import { connectPeer, type PeerAddress, type PeerTls, type ScriptedPeer } from './scripted-peer.ts'

export type MailProtocol = 'imap' | 'pop3'
/** How the password is kept from the wire's listeners; `clear` is not. */
export type Security = 'starttls' | 'implicit' | 'clear'

export type LoginOutcome = {
  accepted: boolean
  /** the whole answer, as `NO [UNAVAILABLE] text` or `-ERR [AUTH] text`, without IMAP's tag */
  answer: string
}

export type MailClient = {
  protocol: MailProtocol
  peer: ScriptedPeer
  greeting: string
  /** Logs in with a password. May be called again after a refusal, on the same connection. */
  login: (user: string, password: string) => Promise<LoginOutcome>
  /** The subjects in INBOX, oldest first. */
  subjects: () => Promise<string[]>
  /** Takes leave as the protocol wants it and waits for the connection to end. */
  quit: () => Promise<void>
}

/** Connects (to a port of 127.0.0.1, or as the address says), reads the greeting, and goes into TLS where `security` says so. */
export async function openMailClient(
  scene: Scene,
  protocol: MailProtocol,
  address: number | PeerAddress,
  security: Security,
  tls: PeerTls,
): Promise<MailClient> {
  const where = typeof address === 'number' ? { port: address } : address
  const peer = await connectPeer(scene, where, security === 'implicit' ? tls : undefined)
  const greeting = await peer.expect(protocol === 'imap' ? /^\* OK / : /^\+OK /)
  if (security === 'starttls') {
    await (protocol === 'imap' ? peer.ask('tls STARTTLS', /^tls OK/) : peer.ask('STLS', /^\+OK/))
    await peer.startTls(tls)
  }
  return protocol === 'imap' ? imapClient(peer, greeting) : pop3Client(peer, greeting)
}

function imapClient(peer: ScriptedPeer, greeting: string): MailClient {
  let commands = 0
  /** Gives every line up to the tagged answer; that one last and without its tag. */
  const command = async (text: string, deadlineMs?: number): Promise<string[]> => {
    const tag = `c${++commands}`
    peer.send(`${tag} ${text}`)
    const lines = await peer.expectUntil(new RegExp(`^${tag} `), deadlineMs)
    lines.push(lines.pop()!.slice(tag.length + 1))
    return lines
  }
  return {
    protocol: 'imap',
    peer,
    greeting,
    login: async (user, password) => {
      const answer = (await command(`LOGIN ${user} ${password}`, LOGIN_DEADLINE_MS)).at(-1)!
      return { accepted: answer.startsWith('OK'), answer }
    },
    subjects: async () => {
      await command('EXAMINE INBOX')
      return subjectsIn(await command('FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])'))
    },
    quit: async () => {
      await command('LOGOUT')
      await peer.expectClose()
    },
  }
}

function pop3Client(peer: ScriptedPeer, greeting: string): MailClient {
  const command = (text: string, deadlineMs?: number) => peer.ask(text, /^(\+OK|-ERR)/, deadlineMs)
  return {
    protocol: 'pop3',
    peer,
    greeting,
    login: async (user, password) => {
      const known = await command(`USER ${user}`)
      if (!known.startsWith('+OK')) return { accepted: false, answer: known }
      const answer = await command(`PASS ${password}`, LOGIN_DEADLINE_MS)
      return { accepted: answer.startsWith('+OK'), answer }
    },
    subjects: async () => {
      const count = Number((await command('STAT')).split(' ')[1])
      const subjects: string[] = []
      for (let number = 1; number <= count; number++) {
        await command(`TOP ${number} 0`)
        subjects.push(...subjectsIn(await peer.expectUntil('.')))
      }
      return subjects
    },
    quit: async () => {
      await command('QUIT')
      await peer.expectClose()
    },
  }
}

/** Longer than mailmux's own limit for a login, so that its answer is seen and not this end. */
const LOGIN_DEADLINE_MS = 40_000

function subjectsIn(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith('Subject: ')).map((line) => line.slice('Subject: '.length))
}
