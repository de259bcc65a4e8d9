/**
 * The release of the ports in the API: for `mailmux run --replace`, a process that takes the place of this one where sockets cannot be
 * inherited. Both requests come over one connection: if that ends between them, this process takes its ports again.
 */
import { z } from 'zod'
import { auditOf, isOnMachine } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

/** of the process that has released its ports */
export const releaseAnswer = z.object({
  pid: z.number(),
  version: z.string(),
  /** its Unix socket, which the other process replaces */
  socket: z.string().optional(),
})

export type ReleaseAnswer = z.infer<typeof releaseAnswer>

export type ReleaseParts = {
  release: {
    /** Closes the ports. @param gone the other process has ended, or has given up. `error`: the ports are open */
    order: (gone: AbortSignal) => Promise<ReleaseAnswer | { error: string }>
    /** The other process has the ports: this one ends. @returns false if they are not released */
    confirm: () => boolean
  }
}

const FOREIGN = 'the ports are released to this machine alone'

const orderRelease = declare({
  method: 'post',
  path: '/release',
  right: 'operate',
  summary: 'Closes the ports for `mailmux run --replace`, which confirms over the same connection that it has them',
  answer: releaseAnswer,
  refusals: { 403: 'the client is on another machine', 409: 'mailmux cannot release its ports now' },
  example: { answer: { pid: 4711, version: '0.2.0' } },
})

const confirmRelease = declare({
  method: 'post',
  path: '/release/confirm',
  right: 'operate',
  summary: 'Tells mailmux that another process has its ports, so that its sessions end at safe points',
  answer: z.object({}),
  refusals: { 403: 'the client is on another machine', 409: 'the ports are not released' },
  example: { answer: {} },
})

export function addReleaseRoutes(routes: Routes, { release }: ReleaseParts, log: AuditLog): void {
  routes.add(orderRelease, async ({ c, caller }) => {
    if (!isOnMachine(c)) return refuse(c, 403, FOREIGN)
    log.info(auditOf(caller), 'release of the ports requested')
    const gone = new AbortController()
    c.env.incoming.socket.once('close', () => gone.abort())
    const result = await release.order(gone.signal)
    return 'error' in result ? refuse(c, 409, result.error) : result
  })
  routes.add(confirmRelease, ({ c }) => {
    if (!isOnMachine(c)) return refuse(c, 403, FOREIGN)
    return release.confirm() ? {} : refuse(c, 409, 'the ports are not released')
  })
}
