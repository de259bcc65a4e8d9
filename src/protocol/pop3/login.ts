/**
 * POP3 before login, facing the client (RFC 1939 4, RFC 2449, RFC 2595, RFC 5034): answers what needs no back end,
 * and hands out logins to try. Refuses everything that belongs to a session.
 */
import { MuxError } from '../../errors.ts'
import { canStartTls, mayAuthenticate, mayUseLogin, offeredMechanisms } from '../predicates.ts'
import type { ClientDialogue, ClientWire, DialogueFacts, LoginAttempt, Refusal } from '../protocol.ts'
import { isHttpRequest } from '../http.ts'
import { byPassword, hasControlCharacter, MAX_SASL_LINE_BYTES, runMechanism } from '../sasl.ts'
import { limitWrongPasswords } from '../wrong-passwords.ts'
import { clientCapability, mayUseUtf8 } from './capability.ts'
import { parseCommand } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'

/** POP3 has no ID: clients say nothing of themselves. */
const NO_ID: ReadonlyMap<string, string> = new Map()

/** UTF8 is sent to the back end once, also if the client has sent it several times. */
const UTF8_PREAMBLE: readonly string[] = ['UTF8']
const NO_PREAMBLE: readonly string[] = []

export function openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue {
  const commandLimit = { bytes: facts.maxLineBytes, token: { start: /^AUTH /i, bytes: MAX_SASL_LINE_BYTES } }
  let user: string | undefined
  let badCommands = 0
  let preamble = NO_PREAMBLE
  let ttl: number | undefined

  const reply = (text: string): void => client.write(`${text}\r\n`)
  const countRefusal = limitWrongPasswords(facts.maxWrongPasswords)
  const refuse = (refusal: Refusal): void => {
    reply(refusalReply(refusal))
    countRefusal(refusal)
  }
  const bad = (text: string): void => {
    badCommands++
    reply(`-ERR ${text}`)
    if (badCommands >= facts.maxBadCommands) {
      throw new MuxError('client-too-many-bad-commands', `${badCommands} invalid commands before login`)
    }
  }
  const refusePlaintext = (): void => reply(refusalReply({ reason: 'privacy-required' }))

  /** RFC 1939 7: the answer to USER does not depend on whether the user exists. */
  function takeUser(name: string): void {
    if (!mayAuthenticate(facts, client.secure)) return refusePlaintext()
    if (!mayUseLogin(facts, client)) return bad('USER is disabled')
    if (hasControlCharacter(name)) return bad('USER takes a user name')
    if (name === '') return reply('-ERR USER takes a user name')
    user = name
    reply('+OK Send PASS.')
  }

  function takePassword(password: string): LoginAttempt | undefined {
    if (!mayAuthenticate(facts, client.secure)) refusePlaintext()
    else if (user === undefined) bad('USER comes before PASS')
    else if (hasControlCharacter(password)) bad('PASS takes a password')
    else if (password === '') {
      user = undefined
      refuse({ reason: 'authentication-failed' })
    } else {
      const attempt: LoginAttempt = { ...byPassword(user, password), mechanism: 'USER', id: NO_ID, ttl, preamble }
      user = undefined
      return attempt
    }
    return undefined
  }

  /** RFC 5034 4; a bare AUTH lists the mechanisms, as old clients expect. */
  async function authenticate(argument: string): Promise<LoginAttempt | undefined> {
    if (!mayAuthenticate(facts, client.secure)) {
      refusePlaintext()
      return undefined
    }
    const offered = offeredMechanisms(facts, client)
    const [name, initial, ...more] = argument.split(' ').filter(Boolean)
    if (name === undefined) {
      reply(['+OK', ...offered, '.'].join('\r\n'))
      return undefined
    }
    const mechanism = offered.find((mechanism) => mechanism === name.toUpperCase())
    if (mechanism === undefined || more.length > 0) {
      reply('-ERR Unsupported authentication mechanism')
      return undefined
    }
    const ask = (challenge: string): Promise<string> => {
      reply(`+ ${challenge}`)
      return client.readLine(MAX_SASL_LINE_BYTES)
    }
    const outcome = await runMechanism(mechanism, { initial, ask, certifiedUser: client.certifiedUser })
    if (outcome === 'cancelled') reply(refusalReply({ reason: 'cancelled' }))
    else if (outcome === 'not-authorized') refuse({ reason: 'authorization-failed' })
    else if (outcome === 'empty') refuse({ reason: 'authentication-failed' })
    else if (outcome === 'malformed') bad('Invalid SASL response')
    else return { ...outcome, mechanism, id: NO_ID, ttl, preamble }
    return undefined
  }

  /** RFC 6856 2.1: said before the login, and meant for the session; offered only where every back end takes it. */
  function takeUtf8(): void {
    if (!mayUseUtf8(facts)) return bad('UTF8 is not available')
    preamble = UTF8_PREAMBLE
    reply('+OK UTF8 is on for this session.')
  }

  /** Another mailmux says how many more proxies may follow it. Who says so falsely ends only his own session the sooner. */
  function takeTtl(argument: string): void {
    if (!/^\d{1,3}$/.test(argument)) return bad('X-PROXY-TTL takes a number')
    ttl = Number(argument)
    reply('+OK')
  }

  async function startTls(): Promise<void> {
    if (!canStartTls(facts, client.secure)) {
      bad(client.secure ? 'TLS is already active' : 'STLS is not available')
      return
    }
    reply('+OK Begin TLS negotiation now.')
    await client.startTls()
    // RFC 2595 4: nothing from before TLS is kept
    user = undefined
    preamble = NO_PREAMBLE
    ttl = undefined
  }

  async function awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const line = await client.readLine(commandLimit)
      if (isHttpRequest(line)) throw new MuxError('client-http', 'an HTTP request')
      const { name, argument } = parseCommand(line)
      switch (name) {
        case 'CAPA':
          reply(['+OK Capability list follows', ...clientCapability(facts, client), '.'].join('\r\n'))
          break
        case 'NOOP': // not in RFC 1939's AUTHORIZATION state; keepalives of some clients send it all the same
          reply('+OK')
          break
        case 'QUIT':
          reply('+OK Logging out.')
          return 'logout'
        case 'UTF8':
          takeUtf8()
          break
        case 'X-PROXY-TTL':
          takeTtl(argument)
          break
        case 'STLS':
          await startTls()
          break
        case 'USER':
          takeUser(argument)
          break
        case 'PASS': {
          const attempt = takePassword(argument)
          if (attempt) return attempt
          break
        }
        case 'AUTH': {
          const attempt = await authenticate(argument)
          if (attempt) return attempt
          break
        }
        default:
          bad('Not a command before login')
      }
    }
  }

  return {
    greet: () => reply(`+OK ${facts.banner}`),
    awaitLogin,
    stillTrying: () => undefined, // RFC 1939 3: one response to a command, and nothing before it
    accept: ({ text }) => reply(`+OK ${text}`),
    refuse,
    goodbye: (why) => reply(goodbyeReply(why)),
  }
}
