/**
 * IMAP before login, facing the client (RFC 9051 6.1, 6.2; RFC 3501 where a client still speaks it): answers what needs no
 * back end, and hands out logins to try. Refuses everything that belongs to a session.
 */
import { MuxError } from '../../errors.ts'
import { canStartTls, mayAuthenticate, mayUseLogin, offeredMechanisms } from '../predicates.ts'
import type { Acceptance, ClientDialogue, ClientWire, DialogueFacts, LoginAttempt, Refusal } from '../protocol.ts'
import { isHttpRequest } from '../http.ts'
import { byPassword, hasControlCharacter, MAX_SASL_LINE_BYTES, runMechanism } from '../sasl.ts'
import { limitWrongPasswords } from '../wrong-passwords.ts'
import { clientCapability } from './capability.ts'
import { readTtl } from './identity.ts'
import { parseStrings, piecesOf, readLiterals, type Piece } from '../reader.ts'
import { parseCommandStart, parseIdPairs } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'

/** A literal before login is a user name, a password or an ID value (RFC 2971: 1024 octets); usual ones are far shorter. */
const MAX_LITERAL_BYTES = 4096
/** A whole command: RFC 2971 3.3 allows an ID of 30 pairs of at most 30 and 1024 octets, which fits with every octet escaped. */
const MAX_COMMAND_BYTES = 64 * 1024

/** A line that may carry a token as its initial response, or an ID in quoted strings. */
const LONG_START = /^[^ ]{1,64} +(?:AUTHENTICATE|ID) /i

/** No command of IMAP before login changes the session at the back end. */
const NO_PREAMBLE: readonly string[] = []

/** A command whose literals have all arrived; `tag` is undefined where it was no tag. */
type Command = { tag: string | undefined; name: string; args: Piece[] }

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  let tag = ''
  let badCommands = 0
  let id: ReadonlyMap<string, string> = new Map()
  // A client that asks although the greeting has told it does not read response codes (see accept). After STARTTLS every client asks.
  let askedForCapability = false
  let hasStartedTls = false

  const commandLimit = { bytes: facts.maxLineBytes, token: { start: LONG_START, bytes: MAX_SASL_LINE_BYTES } }
  const reply = (text: string): void => client.write(`${tag} ${text}\r\n`)
  const countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
  const refuse = (refusal: Refusal): void => {
    reply(refusalReply(refusal))
    countRefusal(refusal)
  }
  const bad = (text: string): void => {
    badCommands++
    client.write(`${tag} BAD ${text}\r\n`)
    if (badCommands >= facts.maxBadCommands) {
      throw new MuxError('client-too-many-bad-commands', `${badCommands} invalid commands before login`)
    }
  }

  /** Reads one command with its literals. Undefined: it was refused here. */
  async function readCommand(): Promise<Command | undefined> {
    const first = await client.readLine(commandLimit)
    if (isHttpRequest(first)) throw new MuxError('client-http', 'an HTTP request')
    const start = parseCommandStart(first)
    // RFC 9051 2.2.1; echoing what is no tag would let a page in a browser speak through us to another protocol.
    tag = start.tag ?? '*'
    const takesLiterals = start.tag !== undefined && (start.name === 'LOGIN' || start.name === 'ID')

    const limits = {
      literalBytes: MAX_LITERAL_BYTES,
      lineBytes: start.name === 'ID' ? MAX_COMMAND_BYTES : facts.maxLineBytes,
      allBytes: MAX_COMMAND_BYTES,
    }
    const read = await readLiterals(client, first, limits, ({ bytes, synchronising }, fits) => {
      // RFC 7888 4: the octets of a non-synchronising literal follow whatever is answered. Taking them for commands would be smuggling.
      if (synchronising && (!takesLiterals || !fits)) {
        bad(takesLiterals ? 'Literal too large' : 'Not a command before login')
        return false
      }
      if (!fits) throw new MuxError('client-literal-too-large', `a literal of ${bytes} bytes before login`)
      if (synchronising) client.write('+ OK\r\n')
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

  function login(args: readonly Piece[]): LoginAttempt | undefined {
    const values = parseStrings(args)
    const [user, password] = values ?? []
    if (user === undefined || password === undefined || values?.length !== 2)
      bad('LOGIN takes a user name and a password')
    else if (!mayAuthenticate(facts, client.secure)) refusePlaintext(true)
    else if (!mayUseLogin(facts, client)) reply('NO [CANNOT] LOGIN is disabled.')
    else if (hasControlCharacter(user) || hasControlCharacter(password)) bad('Invalid characters in credentials')
    else if (user === '' || password === '') refuse({ reason: 'authentication-failed' })
    else {
      return { ...byPassword(user, password), mechanism: 'LOGIN', id, ttl: readTtl(id), preamble: NO_PREAMBLE }
    }
    return undefined
  }

  /** RFC 9051 6.2.2; the initial response by RFC 4959. */
  async function authenticate(args: readonly Piece[]): Promise<LoginAttempt | undefined> {
    const [only, ...literals] = args
    const text = only && 'text' in only && literals.length === 0 ? only.text : ''
    const [name = '', initial, ...more] = text.split(' ').filter(Boolean)
    if (name === '' || more.length > 0) {
      bad('AUTHENTICATE takes a mechanism and at most an initial response')
      return undefined
    }
    if (!mayAuthenticate(facts, client.secure)) {
      refusePlaintext(initial !== undefined)
      return undefined
    }
    const mechanism = offeredMechanisms(facts, client).find((offered) => offered === name.toUpperCase())
    if (mechanism === undefined) {
      reply('NO [CANNOT] Unsupported authentication mechanism.')
      return undefined
    }
    const ask = (challenge: string): Promise<string> => {
      client.write(`+ ${challenge}\r\n`) // RFC 9051 7.6: with its space even where nothing follows
      return client.readLine(MAX_SASL_LINE_BYTES)
    }
    const outcome = await runMechanism(mechanism, { initial, ask, certifiedUser: client.certifiedUser })
    if (outcome === 'cancelled') reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') bad('Invalid SASL response')
    else return { ...outcome, mechanism, id, ttl: readTtl(id), preamble: NO_PREAMBLE }
    return undefined
  }

  /** RFC 2971 3.2: what clients tell of themselves is for the back end; the first word counts. */
  function takeId(args: readonly Piece[]): void {
    const pairs = parseIdPairs(args)
    if (pairs === undefined) return reply('NO ID takes NIL or a list of pairs')
    if (id.size === 0) id = pairs
    client.write(`* ID ("name" "${facts.product}")\r\n${tag} OK ID completed.\r\n`)
  }

  /** RFC 5530 PRIVACYREQUIRED. If the password was sent already, the text says so, so that the user can change it. */
  function refusePlaintext(wasSent: boolean): void {
    if (wasSent) {
      client.write(
        '* BAD [ALERT] Your client sent a password without encryption; it may have been read on the way.\r\n',
      )
    }
    reply(refusalReply({ reason: 'privacy-required' }))
  }

  async function startTls(): Promise<void> {
    if (!canStartTls(facts, client.secure)) {
      bad(client.secure ? 'TLS is already active' : 'STARTTLS is not available')
      return
    }
    reply('OK Begin TLS negotiation now.')
    await client.startTls()
    hasStartedTls = true
    id = new Map() // RFC 9051 11.2: nothing from before TLS is kept
  }

  async function awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const command = await readCommand()
      if (command === undefined) continue
      if (command.tag === undefined) {
        bad('Invalid tag')
        continue
      }
      switch (command.name) {
        case 'CAPABILITY':
          askedForCapability ||= !hasStartedTls
          client.write(`* CAPABILITY ${clientCapability(facts, client)}\r\n${tag} OK CAPABILITY completed.\r\n`)
          break
        case 'NOOP':
          reply('OK NOOP completed.')
          break
        case 'ID':
          takeId(command.args)
          break
        case 'ENABLE': // RFC 5161 3.1 requires authentication first; a client that is early gets this text and continues
          client.write(`* ENABLED\r\n${tag} OK Nothing is enabled before login.\r\n`)
          break
        case 'LOGOUT':
          client.write(`* BYE Logging out\r\n${tag} OK LOGOUT completed.\r\n`)
          return 'logout'
        case 'STARTTLS':
          await startTls()
          break
        case 'LOGIN': {
          const attempt = login(command.args)
          if (attempt) return attempt
          break
        }
        case 'AUTHENTICATE': {
          const attempt = await authenticate(command.args)
          if (attempt) return attempt
          break
        }
        default:
          bad(
            tag.toUpperCase() === 'LOGIN'
              ? 'A command begins with a tag: try "a LOGIN user password"'
              : 'Not a command before login',
          )
      }
    }
  }

  return {
    greet: () => client.write(`* OK [CAPABILITY ${clientCapability(facts, client)}] ${facts.banner}\r\n`),
    awaitLogin,
    // An untagged OK is allowed at any time (RFC 9051 7.1.1).
    stillTrying: () => client.write('* OK Still connecting to your mail store.\r\n'),
    /** Announces the capabilities of the back end: in the answer, or in an untagged response if the client has asked for them before. */
    accept({ untagged, capability, code: said, text }: Acceptance) {
      const lines = untagged.map((line) => `${line}\r\n`).join('')
      const words = capability && `CAPABILITY ${capability.words}`
      const code = said?.startsWith('CAPABILITY') ? undefined : said
      const beside = words && askedForCapability ? `* ${words}\r\n` : ''
      const inAnswer = askedForCapability ? undefined : words
      // Two codes do not fit into one answer, and an ALERT has to be shown (RFC 9051 7.1).
      const ahead = inAnswer && code ? `* OK [${code}] ${text}\r\n` : ''
      const shown = inAnswer ?? code
      client.write(`${lines}${ahead}${beside}${tag} OK ${shown ? `[${shown}] ` : ''}${text}\r\n`)
    },
    refuse,
    goodbye: (why) => client.write(`${goodbyeReply(why)}\r\n`),
  }
}
