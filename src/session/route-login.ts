/** Which back end a login goes to, and as whom; or the words in which it is turned away before any back end hears of it. */
import type { Backend } from '../backend/backends.ts'
import { MuxError } from '../errors.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { BackendLogin, LoginAttempt, Refusal } from '../protocol/protocol.ts'
import type { Route } from '../routing/router.ts'
import type { World } from '../world.ts'
import type { ClientConnection } from './connection.ts'

type Routed = { backend: Backend; login: BackendLogin } | { refusal: Refusal; detail: string }

/** Notes on `conn` who it is and where it goes. @throws MuxError `directory-unavailable`, `route-invalid` */
export async function routeLogin(
  conn: ClientConnection,
  login: LoginAttempt,
  world: World,
  metrics: Metrics,
): Promise<Routed> {
  conn.user = conn.backend = undefined
  const started = performance.now()
  let route: Route | undefined
  try {
    route = await world.router.byUser(login.user, conn.listener.defaultDomain)
  } finally {
    const source = route === undefined ? 'error' : route.kind === 'unknown' ? 'unknown' : route.source
    metrics.routeDecided(source, performance.now() - started)
  }
  conn.user = route.user
  switch (route.kind) {
    case 'unknown':
      // Word for word what a wrong password gets, or the answer would tell who exists.
      return { refusal: { reason: 'authentication-failed' }, detail: 'no route for this user' }
    case 'disabled':
      return { refusal: { reason: 'disabled' }, detail: 'the directory says disabled' }
    case 'hold':
      return { refusal: { reason: 'unavailable' }, detail: 'the directory says hold' }
    case 'backend': {
      const backend = world.backends.get(route.backend.name)
      if (!backend) throw new MuxError('internal', `no back end ${route.backend.name} in this world`)
      conn.backend = route.backend.name
      const user = Buffer.from(route.login).toString('latin1')
      const authcid = login.user === login.authcid ? user : login.authcid
      return { backend, login: { user, authcid, password: login.password, startTls: route.backend.tls === 'starttls' } }
    }
  }
}
