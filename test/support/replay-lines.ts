/** A login replayed to a back end that has said everything beforehand. */
import assert from 'node:assert/strict'
import { MuxError } from '../../src/errors.ts'
import { asOctets } from '../../src/octets.ts'
import { protocols } from '../../src/protocol/protocols.ts'
import type { BackendLogin, LoginAnswer } from '../../src/protocol/protocol.ts'
import type { ProtocolName } from '../../src/protocol/registry.ts'
import { Secret } from '../../src/secret.ts'
import { LinesWire } from './lines-wire.ts'

/** The password of alice. */
export function byPassword(password: string): BackendLogin['credentials'] {
  return { kind: 'password', authcid: asOctets('alice'), password: new Secret(asOctets(password)) }
}

/** What the back end may get to know about the client. */
export const identity = {
  sessionId: 's',
  client: { address: '192.0.2.7', port: 1 },
  local: { address: '192.0.2.1', port: 2 },
  serverName: undefined,
  tls: true,
  ttl: 3,
  id: new Map<string, string>(),
}

/** What differs from a login of alice by her password, and what the back end says, without the line ends. */
export type Told = { login?: Partial<BackendLogin>; says: readonly string[] }

/** What a back end says that offers PLAIN and TLS, until the login. */
export const READY: Record<ProtocolName, readonly string[]> = {
  imap: ['* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS AUTH=PLAIN] ready'],
  pop3: ['+OK ready', '+OK', 'STLS', 'SASL PLAIN', '.'],
  managesieve: ['"IMPLEMENTATION" "x"', '"SASL" "PLAIN"', '"STARTTLS"', 'OK'],
}

export type Replayed = {
  answer: LoginAnswer | MuxError
  wire: LinesWire
  /** how often the login has said that it tells the back end of the user */
  told: number
}

export async function replay(name: ProtocolName, { login, says }: Told): Promise<Replayed> {
  const wire = new LinesWire(says)
  let told = 0
  const answer = await protocols[name]
    .replayLogin(wire, {
      user: asOctets('alice'),
      credentials: byPassword('secret'),
      startTls: false,
      preamble: [],
      proxyHeader: false,
      aboutToTell: () => {
        told++
      },
      ttl: 3,
      identity: undefined,
      ...login,
    })
    .catch((error: unknown) => {
      assert.ok(error instanceof MuxError, String(error))
      return error
    })
  return { answer, wire, told }
}
