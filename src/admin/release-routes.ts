/**
 * The release of the ports in the API: for `mailmux run --replace`, a process that takes the place of this one where sockets cannot be
 * inherited. Both requests come over one connection: if that ends between them, this process takes its ports again.
 */
import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import { isWithinMachine, onlyWithToken, peerOf, refuse } from './guard.ts'

/** of the process that has released its ports */
export const releaseAnswer = z.object({ pid: z.number(), version: z.string() })

export type ReleaseAnswer = z.infer<typeof releaseAnswer>

export type ReleaseParts = {
  release: {
    /** Closes the ports. @param gone the other process has ended, or has given up. `error`: the ports are open */
    order: (gone: AbortSignal) => Promise<ReleaseAnswer | { error: string }>
    /** The other process has the ports: this one ends. @returns false if they are not released */
    confirm: () => boolean
  }
}

type Env = { Bindings: HttpBindings }
type Parts = ReleaseParts & { token: () => Secret | undefined }

export function addReleaseRoutes(api: Hono<Env>, { token, release }: Parts, log: Log): void {
  const isOwnMachine = (c: Context<Env>): boolean => isWithinMachine(c.env.incoming.socket)
  const foreign = 'the ports are released to this machine alone'

  api.post('/release', onlyWithToken(token), async (c) => {
    if (!isOwnMachine(c)) return refuse(c, 403, foreign)
    log.info({ peer: peerOf(c) }, 'release of the ports requested')
    const gone = new AbortController()
    c.env.incoming.socket.once('close', () => gone.abort())
    const result = await release.order(gone.signal)
    return 'error' in result ? refuse(c, 409, result.error) : c.json(result)
  })
  api.post('/release/confirm', onlyWithToken(token), (c) => {
    if (!isOwnMachine(c)) return refuse(c, 403, foreign)
    return release.confirm() ? c.json({}) : refuse(c, 409, 'the ports are not released')
  })
}
