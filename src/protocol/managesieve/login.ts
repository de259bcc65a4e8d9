/**
 * ManageSieve before login, facing the client (RFC 5804 2): answers what needs no back end, and hands out logins to try. Refuses
 * every command of a session, UNAUTHENTICATE included.
 */
import { MuxError } from '../../errors.ts'
import { isHttpRequest } from '../http.ts'
import { canStartTls, mayAuthenticate, offeredMechanisms } from '../predicates.ts'
import type { Acceptance, ClientDialogue, ClientWire, DialogueFacts, LoginAttempt, Refusal } from '../protocol.ts'
import { MAX_SASL_LINE_BYTES, runMechanism } from '../sasl.ts'
import { limitWrongPasswords } from '../wrong-passwords.ts'
import { clientCapability } from './capability.ts'
import { formatString, readTokens, type Token } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'

/** ManageSieve has no ID: clients say nothing of themselves. */
const NO_ID: ReadonlyMap<string, string> = new Map()

/** A line that may carry a token in quotes. RFC 5804 4 allows 1,024 octets there, and real clients send more. */
const LONG_START = /^AUTHENTICATE /i

/** What stands for a response that is no string: it is no base64 either. */
const NO_STRING = '!'

/** A command whose literals have all arrived. */
type Command = { name: string; args: readonly Token[] }

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  let badCommands = 0
  let ttl: number | undefined

  const commandLimit = { bytes: facts.maxLineBytes, token: { start: LONG_START, bytes: MAX_SASL_LINE_BYTES } }
  const reply = (text: string): void => client.write(`${text}\r\n`)
  const countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
  const refuse = (refusal: Refusal): void => {
    reply(refusalReply(refusal))
    countRefusal(refusal)
  }
  const bad = (text: string): void => {
    badCommands++
    reply(`NO ${formatString(text)}`)
    if (badCommands >= facts.maxBadCommands) {
      throw new MuxError('client-too-many-bad-commands', `${badCommands} invalid commands before login`)
    }
  }
  /** One write: clients have been seen to fail on a block that arrives in parts (Dovecot corks it, too). */
  const tellCapability = (text: string): void =>
    client.write(`${clientCapability(facts, client)}OK ${formatString(text)}\r\n`)

  /** @returns undefined where the command was refused here */
  async function readCommand(): Promise<Command | undefined> {
    const first = await client.readLine(commandLimit)
    if (isHttpRequest(first)) throw new MuxError('client-http', 'an HTTP request')
    const tokens = await readTokens(client, first, facts.maxLineBytes, 'client-literal-too-large')
    const [name, ...args] = tokens ?? []
    if (name?.kind === 'word' && args.every(({ kind }) => kind !== 'parenthesis'))
      return { name: name.text.toUpperCase(), args }
    bad('Not a command')
    return undefined
  }

  /** RFC 5804 2.1. Challenges and responses are strings; a bare word is accepted from clients that think of IMAP. */
  async function authenticate(args: readonly Token[]): Promise<LoginAttempt | undefined> {
    const [name, initial, ...more] = args
    if (name === undefined || more.length > 0) {
      bad('AUTHENTICATE takes a mechanism and at most an initial response')
      return undefined
    }
    if (!mayAuthenticate(facts, client.secure)) {
      refuse({ reason: 'privacy-required' })
      return undefined
    }
    const mechanism = offeredMechanisms(facts, client).find((offered) => offered === name.text.toUpperCase())
    if (mechanism === undefined) {
      reply('NO "Unsupported authentication mechanism."')
      return undefined
    }
    const ask = async (challenge: string): Promise<string> => {
      reply(formatString(challenge))
      const first = await client.readLine(MAX_SASL_LINE_BYTES)
      const tokens = await readTokens(client, first, facts.maxLineBytes, 'client-literal-too-large')
      // An empty line stands for an empty string, as in IMAP.
      return tokens === undefined || tokens.length > 1 ? NO_STRING : (tokens[0]?.text ?? '')
    }
    const outcome = await runMechanism(mechanism, { initial: initial?.text, ask, certifiedUser: client.certifiedUser })
    if (outcome === 'cancelled') reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') bad('Invalid SASL response')
    else return { ...outcome, mechanism, id: NO_ID, ttl, preamble: [] }
    return undefined
  }

  /** RFC 5804 2.13: the tag comes back only where one was given. sieve-connect reads it on one line. */
  function noop(args: readonly Token[]): void {
    const [tag, ...more] = args
    if (more.length > 0) return bad('NOOP takes at most a string')
    reply(tag === undefined ? 'OK "NOOP completed."' : `OK (TAG ${formatString(tag.text)}) "Done."`)
  }

  /** Another mailmux says how many more proxies may follow it. A client that lies ends only its own session sooner. */
  function takeTtl(args: readonly Token[]): void {
    const [count, ...more] = args
    if (count === undefined || more.length > 0 || !/^\d{1,3}$/.test(count.text))
      return bad('X-PROXY-TTL takes a number')
    ttl = Number(count.text)
    reply('OK')
  }

  async function startTls(): Promise<void> {
    if (!canStartTls(facts, client.secure)) {
      bad(client.secure ? 'TLS is already active' : 'STARTTLS is not available')
      return
    }
    reply('OK "Begin TLS negotiation now."')
    await client.startTls()
    ttl = undefined // RFC 5804 2.2: nothing from before TLS is kept
    tellCapability('TLS negotiation successful.') // RFC 5804 2.2: unasked
  }

  async function awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const command = await readCommand()
      if (command === undefined) continue
      const { name, args } = command
      switch (name) {
        case 'CAPABILITY':
          tellCapability('Capability completed.')
          break
        case 'NOOP':
          noop(args)
          break
        case 'LOGOUT':
          reply('OK "Logout completed."')
          return 'logout'
        case 'STARTTLS':
          await startTls()
          break
        case 'X-PROXY-TTL':
          takeTtl(args)
          break
        case 'AUTHENTICATE': {
          const attempt = await authenticate(args)
          if (attempt) return attempt
          break
        }
        default:
          bad('Not a command before login')
      }
    }
  }

  return {
    greet: () => tellCapability(facts.banner),
    awaitLogin,
    stillTrying: () => undefined, // RFC 5804 1.3 has no response that a server may send unasked but BYE
    /** RFC 5804 2.1: nothing but the OK. A capability block here breaks clients (Thunderbird's add-on, sieve-connect). */
    accept: ({ code, text }: Acceptance) => reply(`OK ${code === undefined ? '' : `(${code}) `}${formatString(text)}`),
    refuse,
    goodbye: (why) => reply(goodbyeReply(why)),
  }
}
