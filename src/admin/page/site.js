/** What stands still most of the time: instances, listeners and certificates, the directory, the configuration. */
import { Badge, html, Section } from './html.js'
import { daysLeft, formatAgo, formatCount, formatDate, formatDuration, formatMany, formatTime } from './format.js'

/** @typedef {import('./problems.js').StatusAnswer} StatusAnswer */

/** @param {{ status: StatusAnswer }} props */
export function Instances({ status }) {
  const { instances, nowMs, workers, startedMs } = status
  const states = workers.filter((state) => state !== 'up').map((state) => `, ${state}`)
  const generation = status.generation > 1 ? `, generation ${status.generation}` : ''
  const about = `This one: ${formatMany(workers.length, 'worker')}${states.join('')}, started ${formatAgo(startedMs, nowMs)}${generation}.`
  return html`<${Section} id="instances" title="Instances">
    <p>${about}</p>
    ${instances && html`<${InstanceTable} instances=${instances.instances} nowMs=${nowMs} />`}
    ${instances?.why !== undefined && html`<p class="hint">Other instances are not known: ${instances.why}.</p>`}
  <//>`
}

/** @param {{ instances: NonNullable<StatusAnswer['instances']>['instances'], nowMs: number }} props */
function InstanceTable({ instances, nowMs }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of instances">
    <table>
      <thead>
        <tr>
          <th scope="col">Instance</th>
          <th scope="col">State</th>
          <th scope="col">Version</th>
          <th scope="col" class="number">Generation</th>
          <th scope="col" class="number">Sessions</th>
          <th scope="col" class="number">Up for</th>
        </tr>
      </thead>
      <tbody>
        ${instances.map(
          ({ host, id, state, self, version, generation, sessions, sinceMs }) =>
            html`<tr key=${`${id} ${generation}`}>
              <th scope="row">${host}/${id}${self && html` <small>this one</small>`}</th>
              <td><${Badge} tone=${state === 'up' ? 'good' : 'bad'}>${state}<//></td>
              <td>${version ?? '–'}</td>
              <td class="number">${generation ?? '–'}</td>
              <td class="number">${sessions === undefined ? '–' : formatCount(sessions)}</td>
              <td class="number">${sinceMs === undefined ? '–' : formatDuration((nowMs - sinceMs) / 1000)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

/** @param {{ status: StatusAnswer }} props */
export function Listeners({ status }) {
  const { listeners, certificates, nowMs } = status
  return html`<${Section} id="listeners" title="Listeners and certificates">
    <div class="scroll" tabindex="0" role="region" aria-label="Table of listeners">
      <table>
        <thead>
          <tr>
            <th scope="col">Listener</th>
            <th scope="col">Protocol</th>
            <th scope="col">Address</th>
            <th scope="col">TLS</th>
          </tr>
        </thead>
        <tbody>
          ${listeners.map(
            ({ name, protocol, listen, tls }) =>
              html`<tr key=${name}>
                <th scope="row">${name}</th>
                <td>${protocol}</td>
                <td><code>${listen.join(' ')}</code></td>
                <td>${tls}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${
      certificates.length === 0
        ? html`<p class="hint">There is no certificate.</p>`
        : html`<ul class="plain">
            ${certificates.map((one) => html`<${Certificate} key=${one.file} certificate=${one} nowMs=${nowMs} />`)}
          </ul>`
    }
  <//>`
}

/** @param {{ certificate: StatusAnswer['certificates'][number], nowMs: number }} props */
function Certificate({ certificate: { file, notAfterMs, names }, nowMs }) {
  const days = daysLeft(notAfterMs, nowMs)
  const tone = days < 3 ? 'bad' : days < 14 ? 'warn' : 'good'
  return html`<li>
    <${Badge} tone=${tone}>${days < 0 ? 'expired' : `${formatMany(days, 'day')} left`}<//>${' '}
    <span>${names.join(', ') || 'no names'}</span>
    <small>until ${formatDate(notAfterMs)}, <code>${file}</code></small>
  </li>`
}

const KINDS = {
  static: 'The routing file is the only source of routes.',
  redis: 'Redis keeps the routes.',
  auth_http: 'An auth server decides for each login.',
}

/** @param {{ status: StatusAnswer }} props */
export function Directory({ status }) {
  const { directory, nowMs } = status
  const { kind, up, dataLost, lastUpMs, maxStaleMs } = directory
  const since = lastUpMs === undefined ? 'before the start of this process' : formatAgo(lastUpMs, nowMs)
  const until = maxStaleMs === undefined ? '' : `, and count for up to ${formatDuration(maxStaleMs / 1000)}`
  const standIns = `Remembered routes stand in. They are those of ${since}${until}.`
  return html`<${Section} id="directory" title="Directory">
    <p>
      ${KINDS[kind]}${' '}
      ${kind !== 'static' && html`<${Badge} tone=${up ? 'good' : 'bad'}>${dataLost ? 'has lost its data' : up ? 'answers' : 'does not answer'}<//>`}
    </p>
    ${!up && kind === 'redis' && html`<p>${standIns}</p>`}
  <//>`
}

/** @param {{ status: StatusAnswer }} props */
export function Configuration({ status }) {
  const { config, nowMs } = status
  const { file, loadedMs, failure, heldBack } = config
  return html`<${Section} id="configuration" title="Configuration">
    <p><code>${file}</code> in force since ${formatTime(loadedMs)}, ${formatAgo(loadedMs, nowMs)}.</p>
    ${
      failure &&
      html`<p><${Badge} tone="warn">reload failed<//> ${formatAgo(failure.atMs, nowMs)}. Nothing has changed:</p>
        <pre tabindex="0" role="region" aria-label="Errors of the last reload">${(failure.excerpts ?? failure.errors).join('\n')}</pre>`
    }
    ${heldBack && html`<p><${Badge} tone="warn">held back<//> <code>${heldBack.file}</code>: ${heldBack.why}</p>`}
  <//>`
}
