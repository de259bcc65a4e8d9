/** What a directory may ask of a login beside its user. Put together only for a directory that asks. */
import type { Text } from '../octets.ts'
import type { LoginAttempt } from '../protocol/protocol.ts'
import type { LoginFacts } from '../directory/directory.ts'
import type { Login } from './login.ts'

export function describeLogin({ session, record, attempt }: Pick<Login, 'session' | 'record' | 'attempt'>): LoginFacts {
  const { listener, connection } = session
  return {
    protocol: listener.protocol,
    proof: proofOf(attempt, record.master),
    attempt: record.number,
    client: connection.client,
    proxied: connection.hasProxyHeader ? connection.local : undefined,
    tls: connection.secure ? connection.describeTls() : undefined,
  }
}

/** The password of a master user is no proof for the user in the question. */
function proofOf({ user, credentials }: LoginAttempt, master: Text | undefined): LoginFacts['proof'] {
  if (credentials.kind === 'relayed') return { kind: 'relayed', mechanism: credentials.mechanism }
  if (credentials.kind === 'certificate') return { kind: 'certificate' }
  const isOwn = credentials.authcid === user && master === undefined
  return { kind: 'password', password: isOwn ? credentials.password : undefined }
}
