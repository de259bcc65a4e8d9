/** Rules for `placement` and `tags` of routing.yaml, the back ends, and the directory of mailmux.yaml. */
import type { MainDraft, RoutingDraft, Routing } from './drafts.ts'
import { findPool, servedProtocols } from './placement-pool.ts'
import { didYouMean } from '../yaml/problems.ts'
import type { Path, Reporter } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'

export function checkPlacement({ source, value: routing }: RoutingDraft, main: MainDraft, report: Reporter): void {
  if (routing === undefined) return
  if (routing.placement === 'hash') checkHash(['placement'], [], routing, main, report)
  for (const [domain, entry] of Object.entries(routing.domains ?? {})) {
    if (entry === undefined || typeof entry === 'string') continue
    if (entry.placement !== 'hash' || isWritten(source, ['domains', domain, 'backend'])) continue
    const path: Path = ['domains', domain]
    const missing = checkTags([...path, 'tags'], entry.tags ?? [], routing, report)
    if (!missing) checkHash([...path, 'placement'], entry.tags ?? [], routing, main, report)
  }
}

/** @returns whether there is a tag that no back end has */
function checkTags(
  path: Path,
  tags: readonly (string | undefined)[],
  { backends }: Routing,
  report: Reporter,
): boolean {
  const known = new Set(Object.values(backends ?? {}).flatMap((backend) => backend?.tags?.flatMap((tag) => tag ?? [])))
  let missing = false
  tags.forEach((tag, index) => {
    if (tag === undefined || known.has(tag)) return
    missing = true
    const names = [...known].filter((name) => name !== undefined)
    report.error([...path, index], `no back end has the tag "${tag}"${didYouMean(tag, names)}`)
  })
  return missing
}

function checkHash(
  path: Path,
  tags: readonly (string | undefined)[],
  routing: Routing,
  main: MainDraft,
  report: Reporter,
): void {
  const { directory, listeners } = main.value ?? {}
  // What is not remembered is chosen anew at each login: the next back end that goes down or is added would part users from their mail.
  if (directory !== undefined && directory.redis === undefined) {
    report.error(path, 'needs directory.redis in mailmux.yaml: choices are remembered there')
  }
  const named = Object.entries(routing.backends ?? {})
  // What is not understood of a back end or a tag may be what is missing.
  if (named.length === 0 || listeners === undefined || tags.includes(undefined)) return
  if (named.some(([, backend]) => backend === undefined || backend.weight === undefined)) return
  const backends = named.flatMap(([name, backend]) => (backend === undefined ? [] : [{ name, ...backend }]))
  const { chosen, lacking } = findPool(backends, tags, servedProtocols(listeners), (backend) => backend)
  if (chosen.length === 0 && lacking.length > 0) {
    report.error(path, 'no back end serves all protocols that others serve here: no user could be placed')
    return
  }
  if (chosen.length === 0) {
    const fitting = tags.length === 0 ? 'without tags' : `with all of these tags`
    report.error(path, `no back end ${fitting} has a weight over 0: no user could be placed`)
  }
  for (const { name } of lacking)
    report.warn(['backends', name], 'takes no new users: it lacks a port that others have', 'key')
}
