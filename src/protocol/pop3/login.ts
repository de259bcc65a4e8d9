/**
 * POP3 before login, facing the client (RFC 1939 4, RFC 2449, RFC 2595, RFC 5034): answers what needs no back end,
 * and hands out logins to try. Refuses everything that belongs to a session.
 */
import { MuxError } from '../../errors.ts'
import { canStartTls, mayAuthenticate, mayUseLogin, offeredMechanisms } from '../predicates.ts'
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
import { isHttpRequest } from '../http.ts'
import { byPassword, hasControlCharacter, MAX_SASL_LINE_BYTES, runMechanism } from '../sasl.ts'
import { limitBadCommands } from '../bad-commands.ts'
import { limitWrongPasswords } from '../wrong-passwords.ts'
import { clientCapability, mayUseUtf8 } from './capability.ts'
import { parseCommand } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'
import { showAnswers, showCommand } from './shown.ts'

/** POP3 has no ID: clients say nothing of themselves. */
const NO_ID: ReadonlyMap<string, string> = new Map()

/** UTF8 is sent to the back end once, also if the client has sent it several times. */
const UTF8_PREAMBLE: readonly string[] = ['UTF8']
const NO_PREAMBLE: readonly string[] = []

/** A line that may carry a token as its initial response. */
const LONG_START = /^AUTH /i

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  return new Pop3Dialogue(client, facts)
}

class Pop3Dialogue implements ClientDialogue {
  readonly #client: ClientWire
  readonly #facts: DialogueFacts
  readonly #commandLimit: LineLimit
  readonly #countRefusal: (refusal: Refusal) => void
  readonly #countBadCommand: () => void
  #user: string | undefined = undefined
  #preamble = NO_PREAMBLE
  #ttl: number | undefined = undefined

  constructor(client: ClientWire, facts: DialogueFacts) {
    this.#client = client
    this.#facts = facts
    this.#commandLimit = { bytes: facts.maxLineBytes, token: { start: LONG_START, bytes: MAX_SASL_LINE_BYTES } }
    this.#countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
    this.#countBadCommand = limitBadCommands(facts.maxBadCommands)
  }

  greet(): void {
    this.#reply(`+OK ${this.#facts.banner}`)
  }

  /** RFC 1939 7: the answer to USER does not depend on whether the user exists. */
  #takeUser(name: string): void {
    if (!mayAuthenticate(this.#facts, this.#client.secure)) return this.#refusePlaintext()
    if (!mayUseLogin(this.#facts, this.#client)) return this.#bad('USER is disabled')
    if (hasControlCharacter(name)) return this.#bad('USER takes a user name')
    if (name === '') return this.#reply('-ERR USER takes a user name')
    this.#user = name
    this.#reply('+OK Send PASS.')
  }

  #takePassword(password: string): LoginAttempt | undefined {
    if (!mayAuthenticate(this.#facts, this.#client.secure)) this.#refusePlaintext()
    else if (this.#user === undefined) this.#bad('USER comes before PASS')
    else if (hasControlCharacter(password)) this.#bad('PASS takes a password')
    else if (password === '') {
      this.#user = undefined
      this.refuse({ reason: 'authentication-failed' })
    } else {
      const attempt: LoginAttempt = {
        ...byPassword(this.#user, password),
        mechanism: 'USER',
        id: NO_ID,
        ttl: this.#ttl,
        preamble: this.#preamble,
      }
      this.#user = undefined
      return attempt
    }
    return undefined
  }

  /** RFC 5034 4; a bare AUTH lists the mechanisms, as old clients expect. */
  async #authenticate(argument: string): Promise<LoginAttempt | undefined> {
    if (!mayAuthenticate(this.#facts, this.#client.secure)) {
      this.#refusePlaintext()
      return undefined
    }
    const offered = offeredMechanisms(this.#facts, this.#client)
    const [name, initial, ...more] = argument.split(' ').filter(Boolean)
    if (name === undefined) {
      this.#reply(['+OK', ...offered, '.'].join('\r\n'))
      return undefined
    }
    const mechanism = offered.find((mechanism) => mechanism === name.toUpperCase())
    if (mechanism === undefined || more.length > 0) {
      this.#reply('-ERR Unsupported authentication mechanism')
      return undefined
    }
    const ask = (challenge: string): Promise<string> => {
      this.#reply(`+ ${challenge}`)
      return this.#client.readLine(MAX_SASL_LINE_BYTES)
    }
    const outcome = await runMechanism(mechanism, { initial, ask, certifiedUser: this.#client.certifiedUser })
    if (outcome === 'cancelled') this.#reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') this.refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') this.refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') this.#bad('Invalid SASL response')
    else return { ...outcome, mechanism, id: NO_ID, ttl: this.#ttl, preamble: this.#preamble }
    return undefined
  }

  /** RFC 6856 2.1: said before the login, and meant for the session; offered only where every back end takes it. */
  #takeUtf8(): void {
    if (!mayUseUtf8(this.#facts)) return this.#bad('UTF8 is not available')
    this.#preamble = UTF8_PREAMBLE
    this.#reply('+OK UTF8 is on for this session.')
  }

  /** Another mailmux says how many more proxies may follow it. Who says so falsely ends only his own session the sooner. */
  #takeTtl(argument: string): void {
    if (!/^\d{1,3}$/.test(argument)) return this.#bad('X-PROXY-TTL takes a number')
    this.#ttl = Number(argument)
    this.#reply('+OK')
  }

  async #startTls(): Promise<void> {
    if (!canStartTls(this.#facts, this.#client.secure)) {
      this.#bad(this.#client.secure ? 'TLS is already active' : 'STLS is not available')
      return
    }
    this.#reply('+OK Begin TLS negotiation now.')
    await this.#client.startTls()
    // RFC 2595 4: nothing from before TLS is kept
    this.#user = undefined
    this.#preamble = NO_PREAMBLE
    this.#ttl = undefined
  }

  async awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const line = await this.#client.readLine(this.#commandLimit, showCommand)
      if (isHttpRequest(line)) throw new MuxError('client-http', 'an HTTP request')
      const { name, argument } = parseCommand(line)
      switch (name) {
        case 'CAPA':
          this.#reply(['+OK Capability list follows', ...clientCapability(this.#facts, this.#client), '.'].join('\r\n'))
          break
        case 'NOOP': // not in RFC 1939's AUTHORIZATION state; keepalives of some clients send it all the same
          this.#reply('+OK')
          break
        case 'QUIT':
          this.#reply('+OK Logging out.')
          return 'logout'
        case 'UTF8':
          this.#takeUtf8()
          break
        case 'X-PROXY-TTL':
          this.#takeTtl(argument)
          break
        case 'STLS':
          await this.#startTls()
          break
        case 'USER':
          this.#takeUser(argument)
          break
        case 'PASS': {
          const attempt = this.#takePassword(argument)
          if (attempt) return attempt
          break
        }
        case 'AUTH': {
          const attempt = await this.#authenticate(argument)
          if (attempt) return attempt
          break
        }
        default:
          this.#bad('Not a command before login')
      }
    }
  }

  /** RFC 1939 3: one response to a command, and nothing before it. */
  stillTrying(): undefined {
    return undefined
  }

  accept({ text }: Acceptance): void {
    this.#reply(`+OK ${text}`)
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
    this.#reply(`-ERR ${text}`)
    this.#countBadCommand()
  }

  #refusePlaintext(): void {
    this.#reply(refusalReply({ reason: 'privacy-required' }))
  }
}
