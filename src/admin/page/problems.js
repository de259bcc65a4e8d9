/** What is wrong, in the order in which an operator should look at it. Pure. */
import { daysLeft, formatAgo, formatCount, formatDuration, formatMany } from './format.js'

/**
 * @typedef {import('../status-answers.ts').StatusAnswer} StatusAnswer
 * @typedef {NonNullable<StatusAnswer['backends']>[number]} BackendStatus
 * @typedef {import('../status-answers.ts').HistoryAnswer['samples'][number]} Sample
 * @typedef {'good' | 'warn' | 'bad' | 'off'} Tone
 *
 * `bad`: mail stops for some users, or will within hours. `warn`: it works, and needs attention. `note`: an operator has ordered it.
 * @typedef {{ severity: 'bad' | 'warn' | 'note', text: string, section: string }} Problem
 */

/** As the alert of contrib/prometheus: a certificate that is renewed by itself is renewed before. */
const CERTIFICATE_DAYS = 14
/** The last day on which a certificate can be renewed without a hurry. */
const CERTIFICATE_URGENT_DAYS = 3
/** The share of the connections above which clients will soon be turned away. */
const FULL = 0.9
/** The share of logins that fail without a fault of the user. */
const FAILING = 0.01
/** Fewer logins say nothing of a share. */
const FEW_LOGINS = 20

const SEVERITIES = { bad: 0, warn: 1, note: 2 }

/** @param {StatusAnswer} status @param {readonly Sample[]} [lastMinute] @param {number} [everyMs] between two samples @returns {Problem[]} */
export function findProblems(status, lastMinute = [], everyMs = 5000) {
  const found = [
    ...ofInstance(status),
    ...ofBackends(status.backends ?? []),
    ...ofLogins(lastMinute, everyMs),
    ...ofDirectory(status),
    ...ofCertificates(status),
    ...ofConfiguration(status),
    ...ofInstances(status),
  ]
  return found.sort((a, b) => SEVERITIES[a.severity] - SEVERITIES[b.severity])
}

/** One sentence for all of them. @param {readonly Problem[]} problems @returns {{ tone: Tone, text: string }} */
export function summarise(problems) {
  const bad = problems.filter(({ severity }) => severity === 'bad').length
  const warn = problems.filter(({ severity }) => severity === 'warn').length
  if (bad > 0 && warn > 0)
    return { tone: 'bad', text: `${wrong(bad)}, and ${warn} more ${warn === 1 ? 'needs' : 'need'} attention.` }
  if (bad > 0) return { tone: 'bad', text: `${wrong(bad)}.` }
  if (warn > 0) return { tone: 'warn', text: `${things(warn)} ${warn === 1 ? 'needs' : 'need'} attention.` }
  return { tone: 'good', text: 'Everything is well.' }
}

/** @param {number} count */
const things = (count) => (count === 1 ? 'One thing' : `${count} things`)
/** @param {number} count */
const wrong = (count) => `${things(count)} ${count === 1 ? 'is' : 'are'} wrong`

/** @param {StatusAnswer} status @returns {Problem[]} */
function ofInstance({ notReady, workers, backends, connections }) {
  const section = 'instances'
  /** @type {Problem[]} */
  const found = []
  if (notReady !== undefined)
    found.push({ severity: 'bad', section, text: `This instance is not ready for new connections: ${notReady}.` })
  const down = workers.filter((state) => state !== 'up').length
  if (down > 0 && down === workers.length) found.push({ severity: 'bad', section, text: 'No worker serves.' })
  else if (down > 0)
    found.push({ severity: 'warn', section, text: `${down} of ${formatMany(workers.length, 'worker')} do not serve.` })
  if (backends === undefined && down < workers.length)
    found.push({ severity: 'bad', section: 'backends', text: 'No worker answers, so the back ends are not known.' })
  if (connections.max > 0 && connections.open > FULL * connections.max)
    found.push({
      severity: 'bad',
      section: 'sessions',
      text: `${formatCount(connections.open)} of at most ${formatCount(connections.max)} connections are open.`,
    })
  return found
}

/** @param {readonly BackendStatus[]} backends @returns {Problem[]} */
function ofBackends(backends) {
  const section = 'backends'
  return backends.flatMap((backend) => {
    const { name, up, state, addresses, load } = backend
    /** @type {Problem[]} */
    const found = []
    const bad = addresses.filter((one) => one.state !== 'up')
    const [first] = bad
    const why = first?.lastError === undefined ? '' : ` (${first.lastError})`
    if (state === 'down')
      found.push({ severity: 'note', section, text: `${name} is set down: its logins are refused.` })
    else if (!up) found.push({ severity: 'bad', section, text: `${name} cannot be reached${why}.` })
    else if (first)
      found.push({
        severity: 'warn',
        section,
        text: `${bad.length} of ${formatMany(addresses.length, 'address', 'addresses')} of ${name} ${bad.length === 1 ? 'is' : 'are'} down${why}.`,
      })
    if (state === 'drain')
      found.push({ severity: 'note', section, text: `${name} is being drained${left(load.sessions)}.` })
    if (state === 'pause') found.push({ severity: 'note', section, text: `${name} is paused: its logins wait.` })
    if (load.waiting > 0)
      found.push({
        severity: 'warn',
        section,
        text: `${formatMany(load.waiting, 'login')} ${load.waiting === 1 ? 'waits' : 'wait'} for ${name}.`,
      })
    return found
  })
}

/** @param {number} sessions */
const left = (sessions) =>
  sessions === 0 ? ' and has no session here any more' : `, with ${formatMany(sessions, 'session')} here`

/** @param {readonly Sample[]} samples @param {number} everyMs @returns {Problem[]} */
function ofLogins(samples, everyMs) {
  const seconds = everyMs / 1000
  const failed = samples.reduce((sum, one) => sum + (one.failed ?? 0), 0) * seconds
  const all = samples.reduce((sum, one) => sum + (one.accepted ?? 0) + (one.refused ?? 0), 0) * seconds + failed
  if (all < FEW_LOGINS || failed / all < FAILING) return []
  const share = `${Math.max(1, Math.round((100 * failed) / all))} %`
  return [
    {
      severity: 'bad',
      section: 'traffic',
      text: `${share} of the logins of the last minute failed through no fault of the user.`,
    },
  ]
}

/** @param {StatusAnswer} status @returns {Problem[]} */
function ofDirectory({ directory, nowMs }) {
  const section = 'directory'
  const { up, dataLost, lastUpMs } = directory
  if (dataLost)
    return [
      {
        severity: 'bad',
        section,
        text: 'The directory has lost its data. Remembered routes stand in, and no new user is placed.',
      },
    ]
  if (up) return []
  const since = lastUpMs === undefined ? '' : ` since ${formatDuration((nowMs - lastUpMs) / 1000)}`
  return [{ severity: 'bad', section, text: `The directory does not answer${since}. Remembered routes stand in.` }]
}

/** @param {StatusAnswer} status @returns {Problem[]} */
function ofCertificates({ certificates, nowMs }) {
  return certificates.flatMap(({ file, notAfterMs }) => {
    const days = daysLeft(notAfterMs, nowMs)
    if (days >= CERTIFICATE_DAYS) return []
    const text =
      notAfterMs <= nowMs
        ? `The certificate ${file} has expired: mail programs refuse it.`
        : `The certificate ${file} expires in ${formatMany(days, 'day')}.`
    return /** @type {Problem[]} */ ([
      { severity: days < CERTIFICATE_URGENT_DAYS ? 'bad' : 'warn', section: 'listeners', text },
    ])
  })
}

/** @param {StatusAnswer} status @returns {Problem[]} */
function ofConfiguration({ config, nowMs }) {
  const section = 'configuration'
  /** @type {Problem[]} */
  const found = []
  if (config.failure)
    found.push({
      severity: 'warn',
      section,
      text: `The reload ${formatAgo(config.failure.atMs, nowMs)} failed: the files have an error and are not in force.`,
    })
  if (config.heldBack)
    found.push({ severity: 'warn', section, text: `${config.heldBack.file} may be half written and is held back.` })
  return found
}

/** @param {StatusAnswer} status @returns {Problem[]} */
function ofInstances({ instances, directory }) {
  const section = 'instances'
  if (!instances) return []
  const found = instances.instances.flatMap(({ host, id, state }) => {
    if (state === 'up') return []
    const what = state === 'silent' ? 'does not answer' : 'has gone without stopping in order'
    return /** @type {Problem[]} */ ([{ severity: 'warn', section, text: `The instance ${host}/${id} ${what}.` }])
  })
  // The outage of the directory is told already.
  if (instances.scope === 'partial' && directory.up)
    found.push({
      severity: 'warn',
      section,
      text: `The other instances are not known${instances.why === undefined ? '' : `: ${instances.why}`}.`,
    })
  return found
}

/** The state that an operator has set, as a badge. @param {Pick<BackendStatus, 'state' | 'overMs' | 'reassign'>} backend @returns {{ tone: Tone, text: string }} */
export function describeState({ state, overMs, reassign }) {
  if (state === 'up') return { tone: 'good', text: 'up' }
  if (state === 'down') return { tone: 'off', text: 'down' }
  if (state === 'pause') return { tone: 'warn', text: 'paused' }
  const over = overMs === undefined ? '' : ` over ${formatDuration(overMs / 1000)}`
  return { tone: 'warn', text: `draining${over}${reassign ? ', users reassigned' : ''}` }
}

/** What the checks and the logins have found. @param {Pick<BackendStatus, 'up' | 'addresses'>} backend @returns {{ tone: Tone, text: string }} */
export function describeHealth({ up, addresses }) {
  const bad = addresses.filter(({ state }) => state !== 'up').length
  if (!up) return { tone: 'bad', text: addresses.length === 0 ? 'no address' : 'not reachable' }
  return bad === 0 ? { tone: 'good', text: 'reachable' } : { tone: 'warn', text: `${bad} of ${addresses.length} down` }
}
