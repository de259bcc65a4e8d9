/** The text form of an explanation: the decisions in their order, the verdict, and the next step if there is one. Pure. */
import type { BackendAnswer, RouteAnswer, LoginTestAnswer } from '../admin/answers.ts'
import { printable } from '../printable.ts'
import { specOf, type ProtocolName } from '../protocol/registry.ts'
import { nextStep, type KnownRoutes } from './explain-next.ts'
import { formatMs, formatTable, type Row } from './table.ts'

/** @param known for a user without a route */
export function formatExplanation(
  answer: RouteAnswer & { trial?: LoginTestAnswer },
  nowMs: number,
  known?: KnownRoutes,
): string[] {
  const rows = [loginRow, heldBackRow, notTakenOverRow, nameRow, stepsRow, routeRow, backendRows].flatMap((rowsOf) =>
    rowsOf(answer, nowMs),
  )
  const { trial } = answer
  const verdicts = [printable(verdict(answer)), ...otherVerdicts(answer)]
  const next = nextStep(answer, known)
  return [
    ...formatTable(rows),
    '',
    ...verdicts,
    ...(trial ? [printable(formatLoginTest(trial))] : []),
    ...(next === undefined ? [] : [printable(`next: ${next}`)]),
  ]
}

function loginRow({ login }: RouteAnswer): Row[] {
  const { user, protocol, listener, tls, serverName, address } = login
  const came = [`${protocol} at listener ${listener} (tls: ${tls})`]
  if (serverName !== undefined) came.push(`server name ${serverName}`)
  if (address !== undefined) came.push(`address ${address}`)
  return [{ label: 'login', lines: [[user, came.join(', ')]] }]
}

function heldBackRow({ heldBack }: RouteAnswer): Row[] {
  if (!heldBack) return []
  return [{ label: 'held back', lines: [[`${heldBack.file}: ${heldBack.why}; SIGHUP takes it over`]] }]
}

function notTakenOverRow({ notTakenOver }: RouteAnswer, nowMs: number): Row[] {
  if (!notTakenOver) return []
  const { atMs, errors } = notTakenOver
  const ago = `${formatMs(Math.max(0, nowMs - atMs))} ago`
  return [
    { label: 'not taken over', lines: [[`the files as they were read ${ago}:`], ...errors.map((error) => [error])] },
  ]
}

const DOMAIN_BY = {
  listener: 'default domain of the listener',
  'server-name': 'default domain of this server name',
  address: 'default domain of this address',
} as const

function nameRow({ name }: RouteAnswer): Row[] {
  if (!name) return []
  const how = name.notes.map((note) => {
    switch (note.what) {
      case 'delimiter':
        return note.delimiter === '@' ? '' : `"${note.delimiter}" parts user and domain`
      case 'default-domain':
        return name.defaultDomain ? DOMAIN_BY[name.defaultDomain.by] : 'default domain'
      case 'alias':
        return `${note.from} means ${note.to}`
      case 'master':
        return `the master user ${note.master} logs in`
      case 'wrong':
        return note.why
    }
  })
  return [{ label: 'user', lines: [[name.user ?? '(no user name)', how.filter((text) => text !== '').join('; ')]] }]
}

const ASKED = {
  users: 'routing file',
  memory: 'memory',
  directory: 'directory',
  workers: 'other workers',
  domains: 'domains',
  placement: 'placement',
} as const

function stepsRow({ steps }: RouteAnswer): Row[] {
  const lines = steps.map(({ asked, key, outcome, detail, ageMs, leftMs }) => {
    const found = outcome === 'found' ? (detail ?? '') : detail === undefined ? outcome : `${outcome}: ${detail}`
    const times = [
      ...(ageMs === undefined ? [] : [`read ${formatMs(ageMs)} ago`]),
      ...(leftMs === undefined ? [] : [`good for ${formatMs(leftMs)}`]),
    ]
    return [ASKED[asked], key, [found, ...times].join(', ')]
  })
  return lines.length === 0 ? [] : [{ label: 'asked', lines }]
}

function routeRow({ route }: RouteAnswer): Row[] {
  if (!route) return []
  const { backend, source, login } = route
  return [
    { label: 'route', lines: [[backend, `source: ${source}${login === undefined ? '' : `, logs in as ${login}`}`]] },
  ]
}

function backendRows({ backend, login }: RouteAnswer, nowMs: number): Row[] {
  if (!backend) return []
  const addresses = backend.addresses.map(
    ({ host, ip, port, source, state, sinceMs, lastError, nextCheckMs, lookedUpAgainMs }, index) => {
      const why = state === 'up' || lastError === undefined ? '' : `: ${lastError}`
      const then = [
        ...(state === 'up' || nextCheckMs === undefined
          ? []
          : [`next check in ${formatMs(Math.max(0, nextCheckMs - nowMs))}`]),
        ...(lookedUpAgainMs === undefined
          ? []
          : [`${source} asked again in ${formatMs(Math.max(0, lookedUpAgainMs - nowMs))}`]),
      ]
      const where = `${ip} ${port}${host === ip ? '' : ` (${host})`}`
      return [`${index + 1}.`, where, [`${state} for ${formatMs(nowMs - sinceMs)}${why}`, ...then].join(', ')]
    },
  )
  return [
    {
      label: 'back end',
      lines: [
        [
          backend.name,
          `${backend.up ? 'up' : 'not up'} (check: ${backend.check})${backend.state === 'up' ? '' : `, state: ${backend.state}`}`,
        ],
      ],
    },
    { label: 'addresses', lines: addresses.length === 0 ? [[`none for ${login.protocol}`]] : addresses },
    { label: 'limits', lines: [[loadLine(backend.load)]] },
    { label: 'way there', lines: legLines(backend.leg, login.protocol).map((line) => [line]) },
  ]
}

function loadLine({ sessions, logins, waiting, limits, slowStart }: BackendAnswer['load']): string {
  const of = (count: number, most: number | undefined): string =>
    most === undefined ? `${count}` : `${count} of ${most}`
  const parts = [
    `sessions ${of(sessions, limits.sessions)}`,
    `logins under way ${of(logins, limits.logins)}`,
    ...(limits.loginsPerSecond === undefined ? [] : [`${limits.loginsPerSecond} logins a second`]),
    `waiting ${of(waiting, limits.queue)}, for up to ${formatMs(limits.waitMs)}`,
  ]
  if (slowStart) parts.push(`slow start: ${slowStart.logins} under way, ${slowStart.loginsPerSecond} a second`)
  return parts.join('; ')
}

/** How mailmux goes to a back end, a line for each thing. */
function legLines(leg: BackendAnswer['leg'], protocol: ProtocolName): string[] {
  const lines = [leg.tls === 'none' ? 'in clear' : `TLS (${leg.tls}), ${trustOf(leg)}`]
  if (leg.showsCertificate) lines.push('shows a certificate of its own')
  if (leg.proxyHeader !== 'none') lines.push(`PROXY header ${leg.proxyHeader}`)
  lines.push(
    leg.forwardsIdentity
      ? `sends the client identity by ${specOf(protocol).identityBy.command}, if offered`
      : 'does not send the client identity',
  )
  if (leg.master) lines.push(`master user ${leg.master.user} for logins by certificate, by ${leg.master.by}`)
  return lines
}

function trustOf({ verifies, certificateName, trusts, pins = [] }: BackendAnswer['leg']): string {
  switch (verifies) {
    case 'pins':
      return `certificate: ${pins.length} pinned`
    case 'name':
      return `certificate for ${certificateName ?? 'the host'} by ${trusts === 'ca_file' ? 'ca_file' : "the system's CAs"}`
    case 'nothing':
    case undefined:
      return 'certificate NOT VERIFIED'
  }
}

/** Workers share remembered routes while the directory is away. One that cannot ask the others may still decide otherwise. */
function otherVerdicts({ otherWorkers = [] }: RouteAnswer): string[] {
  return otherWorkers.map((answer) => printable(`Worker ${answer.worker} decides otherwise: ${verdict(answer)}`))
}

function verdict({ usable, route, refusal }: Pick<RouteAnswer, 'usable' | 'route' | 'refusal'>): string {
  if (usable && route?.source === 'placed') return `OK: a login would place this user on ${route.backend}`
  if (usable) return `OK: a login goes to ${route?.backend ?? ''}`
  const { reason = 'closed without a word', code, detail = '' } = refusal ?? {}
  return `NOT USABLE: ${reason}${code === undefined ? '' : `, ${code}`}: ${detail}`
}

function formatLoginTest({
  accepted,
  session,
  phase,
  backend,
  ip,
  port,
  tls,
  reason,
  code,
  detail,
  ms,
}: LoginTestAnswer): string {
  const about = `(${formatMs(ms)}; in the log as ${session})`
  if (accepted) return `LOGIN ACCEPTED by ${backend ?? ''} at ${ip ?? ''} ${port ?? ''}, ${tls ?? 'in clear'} ${about}`
  const why = [reason, code].filter((word) => word !== undefined).join(', ')
  return `LOGIN REFUSED while ${phase}${backend === undefined ? '' : ` at ${backend}`}: ${why}: ${detail ?? ''} ${about}`
}
