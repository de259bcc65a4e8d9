/**
 * IMAP before login, facing the client (RFC 9051 6.1, 6.2; RFC 3501 where a client still speaks it): answers what needs no
 * back end, and hands out logins to try. Refuses everything that belongs to a session.
 * Over 250 lines: all commands before login use the state of one dialogue.
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
import { clientCapability } from './capability.ts'
import { readTtl } from './identity.ts'
import { parseStrings, piecesOf, readLiterals, type Piece } from '../reader.ts'
import { parseCommandStart, parseIdPairs } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'
import { showAnswers, showCommand, showUntagged } from './shown.ts'

/** A literal before login is a user name, a password or an ID value (RFC 2971: 1024 octets); usual ones are far shorter. */
const MAX_LITERAL_BYTES = 4096
/** A whole command: RFC 2971 3.3 allows an ID of 30 pairs of at most 30 and 1024 octets, which fits with every octet escaped. */
const MAX_COMMAND_BYTES = 64 * 1024

/** A line that may carry a token as its initial response, or an ID in quoted strings. */
const LONG_START = /^[^ ]{1,64} +(?:AUTHENTICATE|ID) /i

/** No command of IMAP before login changes the session at the back end. */
const NO_PREAMBLE: readonly string[] = []
const NO_ID: ReadonlyMap<string, string> = new Map()

/** A command whose literals have all arrived; `tag` is undefined where it was no tag. */
type Command = { tag: string | undefined; name: string; args: Piece[] }

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  return new ImapDialogue(client, facts)
}

class ImapDialogue implements ClientDialogue {
  readonly #client: ClientWire
  readonly #facts: DialogueFacts
  readonly #commandLimit: LineLimit
  readonly #countRefusal: (refusal: Refusal) => void
  readonly #countBadCommand: () => void
  #tag = ''
  #id: ReadonlyMap<string, string> = NO_ID
  // A client that asks although the greeting has told it does not read response codes (see accept). After STARTTLS every client asks.
  #askedForCapability = false
  #hasStartedTls = false

  constructor(client: ClientWire, facts: DialogueFacts) {
    this.#client = client
    this.#facts = facts
    this.#commandLimit = { bytes: facts.maxLineBytes, token: { start: LONG_START, bytes: MAX_SASL_LINE_BYTES } }
    this.#countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
    this.#countBadCommand = limitBadCommands(facts.maxBadCommands)
  }

  greet(): void {
    this.#client.write(
      `* OK [CAPABILITY ${clientCapability(this.#facts, this.#client)}] ${this.#facts.banner}\r\n`,
      showAnswers,
    )
  }

  /** Reads one command with its literals. Undefined: it was refused here. */
  async #readCommand(): Promise<Command | undefined> {
    const first = await this.#client.readLine(this.#commandLimit, showCommand)
    if (isHttpRequest(first)) throw new MuxError('client-http', 'an HTTP request')
    const start = parseCommandStart(first)
    // RFC 9051 2.2.1; echoing what is no tag would let a page in a browser speak through us to another protocol.
    this.#tag = start.tag ?? '*'
    // Nearly every command: no wait for literals.
    if (!first.endsWith('}')) return { tag: start.tag, name: start.name, args: [{ text: start.rest }] }
    const takesLiterals = start.tag !== undefined && (start.name === 'LOGIN' || start.name === 'ID')
    const limits = {
      literalBytes: MAX_LITERAL_BYTES,
      lineBytes: start.name === 'ID' ? MAX_COMMAND_BYTES : this.#facts.maxLineBytes,
      allBytes: MAX_COMMAND_BYTES,
    }
    const read = await readLiterals(this.#client, first, limits, ({ bytes, synchronising }, fits) => {
      // RFC 7888 4: the octets of a non-synchronising literal follow whatever is answered. Taking them for commands would be smuggling.
      if (synchronising && (!takesLiterals || !fits)) {
        this.#bad(takesLiterals ? 'Literal too large' : 'Not a command before login')
        return false
      }
      if (!fits) throw new MuxError('client-literal-too-large', `a literal of ${bytes} bytes before login`)
      if (synchronising) this.#client.write('+ OK\r\n', showAnswers)
      return true
    })
    if (read === undefined) return undefined
    const [, ...lines] = read.lines
    return {
      tag: start.tag,
      name: start.name,
      args: piecesOf({ lines: [start.rest, ...lines], literals: read.literals }),
    }
  }

  #login(args: readonly Piece[]): LoginAttempt | undefined {
    const values = parseStrings(args)
    const [user, password] = values ?? []
    if (user === undefined || password === undefined || values?.length !== 2)
      this.#bad('LOGIN takes a user name and a password')
    else if (!mayAuthenticate(this.#facts, this.#client.secure)) this.#refusePlaintext({ wasSent: true })
    else if (!mayUseLogin(this.#facts, this.#client)) this.#reply('NO [CANNOT] LOGIN is disabled.')
    else if (hasControlCharacter(user) || hasControlCharacter(password)) this.#bad('Invalid characters in credentials')
    else if (user === '' || password === '') this.refuse({ reason: 'authentication-failed' })
    else {
      return {
        ...byPassword(user, password),
        mechanism: 'LOGIN',
        id: this.#id,
        ttl: readTtl(this.#id),
        preamble: NO_PREAMBLE,
      }
    }
    return undefined
  }

  /** RFC 9051 6.2.2; the initial response by RFC 4959. */
  async #authenticate(args: readonly Piece[]): Promise<LoginAttempt | undefined> {
    const [only, ...literals] = args
    const text = only && 'text' in only && literals.length === 0 ? only.text : ''
    const [name = '', initial, ...more] = text.split(' ').filter(Boolean)
    if (name === '' || more.length > 0) {
      this.#bad('AUTHENTICATE takes a mechanism and at most an initial response')
      return undefined
    }
    if (!mayAuthenticate(this.#facts, this.#client.secure)) {
      this.#refusePlaintext({ wasSent: initial !== undefined })
      return undefined
    }
    const mechanism = offeredMechanisms(this.#facts, this.#client).find((offered) => offered === name.toUpperCase())
    if (mechanism === undefined) {
      this.#reply('NO [CANNOT] Unsupported authentication mechanism.')
      return undefined
    }
    const ask = (challenge: string): Promise<string> => {
      this.#client.write(`+ ${challenge}\r\n`, showAnswers) // RFC 9051 7.6: with its space even where nothing follows
      return this.#client.readLine(MAX_SASL_LINE_BYTES)
    }
    const outcome = await runMechanism(mechanism, { initial, ask, certifiedUser: this.#client.certifiedUser })
    if (outcome === 'cancelled') this.#reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') this.refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') this.refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') this.#bad('Invalid SASL response')
    else return { ...outcome, mechanism, id: this.#id, ttl: readTtl(this.#id), preamble: NO_PREAMBLE }
    return undefined
  }

  /** RFC 2971 3.2: what clients tell of themselves is for the back end; the first word counts. */
  #takeId(args: readonly Piece[]): void {
    const pairs = parseIdPairs(args)
    if (pairs === undefined) return this.#reply('NO ID takes NIL or a list of pairs')
    if (this.#id.size === 0) this.#id = pairs
    this.#client.write(`* ID ("name" "${this.#facts.product}")\r\n${this.#tag} OK ID completed.\r\n`, showAnswers)
  }

  /** RFC 5530 PRIVACYREQUIRED. If the password was sent already, the text says so, so that the user can change it. */
  #refusePlaintext({ wasSent }: { wasSent: boolean }): void {
    if (wasSent) {
      this.#client.write(
        '* BAD [ALERT] Your client sent a password without encryption; it may have been read on the way.\r\n',
        showAnswers,
      )
    }
    this.#reply(refusalReply({ reason: 'privacy-required' }))
  }

  async #startTls(): Promise<void> {
    if (!canStartTls(this.#facts, this.#client.secure)) {
      this.#bad(this.#client.secure ? 'TLS is already active' : 'STARTTLS is not available')
      return
    }
    this.#reply('OK Begin TLS negotiation now.')
    await this.#client.startTls()
    this.#hasStartedTls = true
    this.#id = NO_ID // RFC 9051 11.2: nothing from before TLS is kept
  }

  async awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const command = await this.#readCommand()
      if (command === undefined) continue
      if (command.tag === undefined) {
        this.#bad('Invalid tag')
        continue
      }
      switch (command.name) {
        case 'CAPABILITY':
          this.#askedForCapability ||= !this.#hasStartedTls
          this.#client.write(
            `* CAPABILITY ${clientCapability(this.#facts, this.#client)}\r\n${this.#tag} OK CAPABILITY completed.\r\n`,
            showAnswers,
          )
          break
        case 'NOOP':
          this.#reply('OK NOOP completed.')
          break
        case 'ID':
          this.#takeId(command.args)
          break
        case 'ENABLE': // RFC 5161 3.1 requires authentication first; a client that is early gets this text and continues
          this.#client.write(`* ENABLED\r\n${this.#tag} OK Nothing is enabled before login.\r\n`, showAnswers)
          break
        case 'LOGOUT':
          this.#client.write(`* BYE Logging out\r\n${this.#tag} OK LOGOUT completed.\r\n`, showAnswers)
          return 'logout'
        case 'STARTTLS':
          await this.#startTls()
          break
        case 'LOGIN': {
          const attempt = this.#login(command.args)
          if (attempt) return attempt
          break
        }
        case 'AUTHENTICATE': {
          const attempt = await this.#authenticate(command.args)
          if (attempt) return attempt
          break
        }
        default:
          this.#bad(
            this.#tag.toUpperCase() === 'LOGIN'
              ? 'A command begins with a tag: try "a LOGIN user password"'
              : 'Not a command before login',
          )
      }
    }
  }

  /** An untagged OK is allowed at any time (RFC 9051 7.1.1). */
  stillTrying(): void {
    this.#client.write('* OK Still connecting to your mail store.\r\n', showAnswers)
  }

  /** Announces the capabilities of the back end: in the answer, or in an untagged response if the client has asked for them before. */
  accept({ untagged, capability, code: said, text }: Acceptance): void {
    const lines = untagged.map((line) => `${line}\r\n`).join('')
    const words = capability && `CAPABILITY ${capability.words}`
    const code = said?.startsWith('CAPABILITY') ? undefined : said
    const beside = words && this.#askedForCapability ? `* ${words}\r\n` : ''
    const inAnswer = this.#askedForCapability ? undefined : words
    // Two codes do not fit into one answer, and an ALERT has to be shown (RFC 9051 7.1).
    const ahead = inAnswer && code ? `* OK [${code}] ${text}\r\n` : ''
    const shown = inAnswer ?? code
    this.#client.write(`${lines}${ahead}${beside}${this.#tag} OK ${shown ? `[${shown}] ` : ''}${text}\r\n`, showAnswers)
  }

  refuse(refusal: Refusal): void {
    this.#reply(refusalReply(refusal))
    this.#countRefusal(refusal)
  }

  goodbye(why: Goodbye): void {
    this.#client.write(`${goodbyeReply(why)}\r\n`, showAnswers)
  }

  #reply(text: string): void {
    this.#client.write(`${this.#tag} ${text}\r\n`, showAnswers)
  }

  #bad(text: string): void {
    this.#client.write(`${this.#tag} BAD ${text}\r\n`, showUntagged)
    this.#countBadCommand()
  }
}
