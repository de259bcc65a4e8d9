/** What a directory may want to know of a login beside its user: put together for one that asks, and for no other. */
import { TLSSocket } from 'node:tls'
import type { Text } from '../octets.ts'
import type { LoginAttempt } from '../protocol/protocol.ts'
import type { LoginFacts } from '../routing/directory.ts'
import { whyNotTrusted } from '../tls/client-certificate.ts'
import type { ClientConnection } from '../client/connection.ts'

export function describeLogin(conn: ClientConnection, login: LoginAttempt): LoginFacts {
  const { listener, loginAttempts: attempt, client, local, hasProxyHeader } = conn
  return {
    protocol: listener.protocol,
    proof: proofOf(login, conn.master),
    attempt,
    client,
    proxied: hasProxyHeader ? local : undefined,
    tls: conn.secure ? describeTls(conn) : undefined,
  }
}

/** A master user's password proves nothing of the user whom the directory is asked about. */
function proofOf({ user, credentials }: LoginAttempt, master: Text | undefined): LoginFacts['proof'] {
  if (credentials.kind === 'relayed') return { kind: 'relayed', mechanism: credentials.mechanism }
  if (credentials.kind === 'certificate') return { kind: 'certificate' }
  const isOwn = credentials.authcid === user && master === undefined
  return { kind: 'password', password: isOwn ? credentials.password : undefined }
}

/** TLS may have ended at a proxy in front, which tells its version at most. */
function describeTls({ socket, tlsVersion: version, listener }: ClientConnection): LoginFacts['tls'] {
  if (!(socket instanceof TLSSocket)) return { version, cipher: undefined, certificate: undefined }
  const { name: cipher } = socket.getCipher()
  if (listener.clientCa === undefined) return { version, cipher, certificate: undefined }
  const shown = socket.getPeerX509Certificate()
  return { version, cipher, certificate: { shown, problem: whyNotTrusted(socket) } }
}
