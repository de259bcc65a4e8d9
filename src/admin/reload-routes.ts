/** The configuration in the API: what became of the last reload, and a reload that ends when the new settings are in force. */
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import {
  comparisonAnswer,
  configAnswer,
  reloadAnswer,
  type ComparisonAnswer,
  type ConfigAnswer,
  type ReloadAnswer,
} from './configuration-answers.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

export type ReloadParts = {
  configuration: {
    /** Reads the files and takes them over. `errors`: nothing has changed. */
    reload: () => Promise<ReloadAnswer | { errors: string[] }>
    status: () => ConfigAnswer
    /** Reads the files, and changes nothing. */
    compare: () => Promise<ComparisonAnswer>
  }
}

/** Longer than the deadline of the process that reads the files; nothing is sent meanwhile. */
export const RELOAD_IDLE_MS = 1_860_000

const FILE = '/etc/mailmux/mailmux.yaml'
const CHANGE = { what: 'listener', name: 'old', change: 'removed', text: 'listener old: removed' } as const

const readConfig = declare({
  method: 'get',
  path: '/config',
  right: 'read',
  summary: 'Tells which configuration is in force, and how the last reload ended',
  answer: configAnswer,
  example: { answer: { file: FILE, loadedMs: 1_796_000_000_000 } },
})

const compareFiles = declare({
  method: 'get',
  path: '/reload',
  right: 'read',
  summary: 'Reads the files and tells what a reload would change',
  answer: comparisonAnswer,
  example: { answer: { file: FILE, changes: [{ ...CHANGE, affected: { sessions: 3 } }], restart: [] } },
})

const orderReload = declare({
  method: 'post',
  path: '/reload',
  right: 'operate',
  summary: 'Reads the files and takes them over; the answer comes when they are in force',
  answer: reloadAnswer,
  refusals: { 409: 'the files have errors, and nothing has changed' },
  example: { answer: { changes: [CHANGE], warnings: [], late: [] } },
})

export function addReloadRoutes(routes: Routes, { configuration }: ReloadParts, log: AuditLog): void {
  routes.add(readConfig, () => configuration.status())
  routes.add(compareFiles, ({ c }) => {
    c.env.incoming.socket.setTimeout(RELOAD_IDLE_MS)
    return configuration.compare()
  })
  routes.add(orderReload, async ({ c, caller }) => {
    c.env.incoming.socket.setTimeout(RELOAD_IDLE_MS)
    log.info(auditOf(caller), 'reload requested by operator')
    const result = await configuration.reload()
    if (!('errors' in result)) return result
    const { errors } = result
    return errors.length === 1
      ? refuse(c, 409, errors[0] ?? '')
      : c.json({ error: `${errors.length} errors`, errors }, 409)
  })
}
