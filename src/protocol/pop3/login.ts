/**
 * POP3 before login, facing the client (RFC 1939 4, RFC 2449, RFC 2595, RFC 5034): answers what needs no back end,
 * and hands out logins to try. Refuses everything that belongs to a session.
 */
import { MuxError } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import type { ClientDialogue, DialogueFacts, LoginAttempt, Wire } from '../protocol.ts'
import { decodeBase64, decodePlain, hasControlCharacter } from '../sasl.ts'
import { canStartTls, clientCapability, mayAuthenticate } from './capability.ts'
import { parseCommand } from './parse.ts'
import { goodbyeReply, refusalReply } from './replies.ts'

export function openDialogue(client: Wire, facts: DialogueFacts): ClientDialogue {
  let user: string | undefined
  let badCommands = 0

  const reply = (text: string): void => client.write(`${text}\r\n`)
  const bad = (text: string): void => {
    badCommands++
    reply(`-ERR ${text}`)
    if (badCommands >= facts.maxBadCommands) {
      throw new MuxError('client-too-many-bad-commands', `${badCommands} invalid commands before login`)
    }
  }
  const refusePlaintext = (): void => reply(refusalReply({ reason: 'privacy-required' }))

  /** RFC 1939 7: USER says nothing of whether the user exists. */
  function takeUser(name: string): void {
    if (!mayAuthenticate(facts, client.secure)) return refusePlaintext()
    if (name === '' || hasControlCharacter(name)) return bad('USER takes a user name')
    user = name
    reply('+OK Send PASS.')
  }

  function takePassword(password: string): LoginAttempt | undefined {
    if (!mayAuthenticate(facts, client.secure)) refusePlaintext()
    else if (user === undefined) bad('USER comes before PASS')
    else if (password === '' || hasControlCharacter(password)) bad('PASS takes a password')
    else {
      const attempt: LoginAttempt = { user, mechanism: 'USER', authcid: user, password: new Secret(password) }
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
    if (argument === '') {
      reply('+OK\r\nPLAIN\r\n.')
      return undefined
    }
    const [mechanism = '', initial, ...more] = argument.split(' ')
    if (mechanism.toUpperCase() !== 'PLAIN' || more.length > 0) {
      bad('Unsupported authentication mechanism')
      return undefined
    }
    if (initial === undefined) reply('+ ')
    const response = initial ?? (await client.readLine(facts.maxLineBytes))
    if (response === '*') {
      reply('-ERR Authentication cancelled.')
      return undefined
    }
    const octets = response === '=' ? '' : decodeBase64(response)
    const plain = octets === undefined ? undefined : decodePlain(octets)
    if (plain === undefined) bad('Invalid SASL response')
    return plain && { ...plain, mechanism: 'PLAIN' }
  }

  async function startTls(): Promise<void> {
    if (!canStartTls(facts, client.secure)) {
      bad(client.secure ? 'TLS is already active' : 'STLS is not available')
      return
    }
    reply('+OK Begin TLS negotiation now.')
    await client.startTls()
    user = undefined // RFC 2595 4: nothing from before TLS is kept
  }

  async function awaitLogin(): Promise<LoginAttempt | 'logout'> {
    for (;;) {
      const { name, argument } = parseCommand(await client.readLine(facts.maxLineBytes))
      switch (name) {
        case 'CAPA':
          reply(['+OK Capability list follows', ...clientCapability(facts, client.secure), '.'].join('\r\n'))
          break
        case 'NOOP': // not in RFC 1939's AUTHORIZATION state; keepalives of some clients send it all the same
          reply('+OK')
          break
        case 'QUIT':
          reply('+OK Logging out.')
          return 'logout'
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
    accept: ({ text }) => reply(`+OK ${text}`),
    refuse: (refusal) => reply(refusalReply(refusal)),
    goodbye: (why) => reply(goodbyeReply(why)),
  }
}
