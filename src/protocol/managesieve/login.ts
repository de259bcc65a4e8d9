/**
 * ManageSieve before login, facing the client (RFC 5804 2): answers what needs no back end, and hands out logins to try. Refuses
 * every command of a session, UNAUTHENTICATE included.
 */
import { MuxError } from '../../errors.ts'
import { isHttpRequest } from '../http.ts'
import { canStartTls, mayAuthenticate, offeredMechanisms } from '../predicates.ts'
import type {
  Acceptance,
  ClientDialogue,
  ClientWire,
  DialogueFacts,
  Goodbye,
  LineLimit,
  LoginAttempt,
  Refusal,
} from '../protocol.ts'
import { MAX_SASL_LINE_BYTES, runMechanism } from '../sasl.ts'
import { limitBadCommands } from '../bad-commands.ts'
import { limitWrongPasswords } from '../wrong-passwords.ts'
import { clientCapability } from './capability.ts'
import { formatString, readTokens, type Token } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'
import { showAnswers, showCommand } from './shown.ts'

/** ManageSieve has no ID: clients say nothing of themselves. */
const NO_ID: ReadonlyMap<string, string> = new Map()

/** A line that may carry a token in quotes. RFC 5804 4 allows 1,024 octets there, and real clients send more. */
const LONG_START = /^AUTHENTICATE /i

/** What stands for a response that is no string: it is no base64 either. */
const NO_STRING = '!'

/** A command whose literals have all arrived. */
type Command = { name: string; args: readonly Token[] }

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  return new ManageSieveDialogue(client, facts)
}

class ManageSieveDialogue implements ClientDialogue {
  readonly #client: ClientWire
  readonly #facts: DialogueFacts
  readonly #commandLimit: LineLimit
  readonly #countRefusal: (refusal: Refusal) => void
  readonly #countBadCommand: () => void
  #ttl: number | undefined = undefined

  constructor(client: ClientWire, facts: DialogueFacts) {
    this.#client = client
    this.#facts = facts
    this.#commandLimit = { bytes: facts.maxLineBytes, token: { start: LONG_START, bytes: MAX_SASL_LINE_BYTES } }
    this.#countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
    this.#countBadCommand = limitBadCommands(facts.maxBadCommands)
  }

  greet(): void {
    this.#tellCapability(this.#facts.banner)
  }

  /** @returns undefined where the command was refused here */
  async #readCommand(): Promise<Command | undefined> {
    const first = await this.#client.readLine(this.#commandLimit, showCommand)
    if (isHttpRequest(first)) throw new MuxError('client-http', 'an HTTP request')
    const tokens = await readTokens(this.#client, first, this.#facts.maxLineBytes, 'client-literal-too-large')
    const [name, ...args] = tokens ?? []
    if (name?.kind === 'word' && args.every(({ kind }) => kind !== 'parenthesis'))
      return { name: name.text.toUpperCase(), args }
    this.#bad('Not a command')
    return undefined
  }

  /** RFC 5804 2.1. Challenges and responses are strings; a bare word is accepted from clients that think of IMAP. */
  async #authenticate(args: readonly Token[]): Promise<LoginAttempt | undefined> {
    const [name, initial, ...more] = args
    if (name === undefined || more.length > 0) {
      this.#bad('AUTHENTICATE takes a mechanism and at most an initial response')
      return undefined
    }
    if (!mayAuthenticate(this.#facts, this.#client.secure)) {
      this.refuse({ reason: 'privacy-required' })
      return undefined
    }
    const mechanism = offeredMechanisms(this.#facts, this.#client).find(
      (offered) => offered === name.text.toUpperCase(),
    )
    if (mechanism === undefined) {
      this.#reply('NO "Unsupported authentication mechanism."')
      return undefined
    }
    const ask = async (challenge: string): Promise<string> => {
      this.#reply(formatString(challenge))
      const first = await this.#client.readLine(MAX_SASL_LINE_BYTES)
      const tokens = await readTokens(this.#client, first, this.#facts.maxLineBytes, 'client-literal-too-large')
      // An empty line stands for an empty string, as in IMAP.
      return tokens === undefined || tokens.length > 1 ? NO_STRING : (tokens[0]?.text ?? '')
    }
    const outcome = await runMechanism(mechanism, {
      initial: initial?.text,
      ask,
      certifiedUser: this.#client.certifiedUser,
    })
    if (outcome === 'cancelled') this.#reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') this.refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') this.refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') this.#bad('Invalid SASL response')
    else return { ...outcome, mechanism, id: NO_ID, ttl: this.#ttl, preamble: [] }
    return undefined
  }

  /** RFC 5804 2.13: the tag comes back only where one was given. sieve-connect reads it on one line. */
  #noop(args: readonly Token[]): void {
    const [tag, ...more] = args
    if (more.length > 0) return this.#bad('NOOP takes at most a string')
    this.#reply(tag === undefined ? 'OK "NOOP completed."' : `OK (TAG ${formatString(tag.text)}) "Done."`)
  }

  /** Another mailmux says how many more proxies may follow it. A client that lies ends only its own session sooner. */
  #takeTtl(args: readonly Token[]): void {
    const [count, ...more] = args
    if (count === undefined || more.length > 0 || !/^\d{1,3}$/.test(count.text))
      return this.#bad('X-PROXY-TTL takes a number')
    this.#ttl = Number(count.text)
    this.#reply('OK')
  }

  async #startTls(): Promise<void> {
    if (!canStartTls(this.#facts, this.#client.secure)) {
      this.#bad(this.#client.secure ? 'TLS is already active' : 'STARTTLS is not available')
      return
    }
    this.#reply('OK "Begin TLS negotiation now."')
    await this.#client.startTls()
    this.#ttl = undefined // RFC 5804 2.2: nothing from before TLS is kept
    this.#tellCapability('TLS negotiation successful.') // RFC 5804 2.2: unasked
  }

  async awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const command = await this.#readCommand()
      if (command === undefined) continue
      const { name, args } = command
      switch (name) {
        case 'CAPABILITY':
          this.#tellCapability('Capability completed.')
          break
        case 'NOOP':
          this.#noop(args)
          break
        case 'LOGOUT':
          this.#reply('OK "Logout completed."')
          return 'logout'
        case 'STARTTLS':
          await this.#startTls()
          break
        case 'X-PROXY-TTL':
          this.#takeTtl(args)
          break
        case 'AUTHENTICATE': {
          const attempt = await this.#authenticate(args)
          if (attempt) return attempt
          break
        }
        default:
          this.#bad('Not a command before login')
      }
    }
  }

  /** RFC 5804 1.3 has no response that a server may send unasked but BYE. */
  stillTrying(): undefined {
    return undefined
  }

  /** RFC 5804 2.1: nothing but the OK. A capability block here breaks clients (Thunderbird's add-on, sieve-connect). */
  accept({ code, text }: Acceptance): void {
    this.#reply(`OK ${code === undefined ? '' : `(${code}) `}${formatString(text)}`)
  }

  refuse(refusal: Refusal): void {
    this.#reply(refusalReply(refusal))
    this.#countRefusal(refusal)
  }

  goodbye(why: Goodbye): void {
    this.#reply(goodbyeReply(why))
  }

  #reply(text: string): void {
    this.#client.write(`${text}\r\n`, showAnswers)
  }

  #bad(text: string): void {
    this.#reply(`NO ${formatString(text)}`)
    this.#countBadCommand()
  }

  /** One write: clients have been seen to fail on a block that arrives in parts (Dovecot corks it, too). */
  #tellCapability(text: string): void {
    this.#client.write(`${clientCapability(this.#facts, this.#client)}OK ${formatString(text)}\r\n`, showAnswers)
  }
}
