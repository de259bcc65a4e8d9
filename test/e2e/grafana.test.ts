/** The dashboard of contrib/grafana: a Prometheus that scrapes a mailmux with clients has a series for each of its expressions. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../support/deadline.ts'
import { PASSWORD, startSite, type Site } from '../support/site.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { connectPeer } from '../support/scripted-peer.ts'

const FILE = join(import.meta.dirname, '../../contrib/grafana/mailmux.json')

type Place = { x: number; y: number; w: number; h: number }
type Panel = { id: number; title: string; gridPos: Place; datasource?: { uid: string }; targets?: { expr: string }[] }
type Dashboard = {
  panels: Panel[]
  templating: { list: { name: string; type: string }[] }
  annotations: { list: { expr: string }[] }
}

/** The clients log in all the time, so that rates have two readings soon. */
const DEADLINE_MS = 120_000

async function readDashboard(): Promise<Dashboard> {
  return JSON.parse(await readFile(FILE, 'utf8')) as Dashboard
}

const overlap = (a: Place, b: Place): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h

test('its panels have their own ids and places, and the data source of the dashboard', async () => {
  const { panels, templating } = await readDashboard()
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const pairs = panels.flatMap((a, index) => panels.slice(index + 1).map((b) => [a, b] as const))
  const overlapping = pairs.filter(([a, b]) => overlap(a.gridPos, b.gridPos))
  assert.deepEqual(
    overlapping.map(([a, b]) => `${a.title} and ${b.title}`),
    [],
  )
  assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24))
  assert.ok(panels.every(({ targets, datasource }) => !targets || datasource?.uid === '${datasource}'))
  assert.deepEqual(
    templating.list.map(({ name, type }) => `${name} ${type}`),
    ['datasource datasource', 'job query', 'instance query'],
  )
})

/** One client of each kind that the panels tell of: by both protocols, in TLS, with a wrong password, and one that is no mail client. */
async function visit(site: Site): Promise<void> {
  for (const protocol of ['imap', 'pop3'] as const) {
    const client = await site.open(protocol, 'implicit')
    await client.login('bob@example.test', 'wrong')
    const { accepted, answer } = await client.login('bob@example.test', PASSWORD)
    assert.ok(accepted, answer)
    await client.quit()
  }
  const stranger = await connectPeer(site.scene, { port: site.mailmux.ports.imap })
  stranger.send('GET / HTTP/1.1')
  await stranger.readToEnd()
}

test('each expression has a series', async (t) => {
  const site = await startSite({ redis: true, mailmux: { settings: { limits: { failure_delay: '0s' } } } })
  t.after(() => site.close())
  const prometheus = await startPrometheus(site.scene, [site.mailmux.ports.admin])
  const { panels, annotations } = await readDashboard()
  const written = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
  assert.ok(written.length > 35)
  let missing = written
  const look = async (): Promise<true | undefined> => {
    await visit(site)
    const counted = await Promise.all(
      missing.map(async (each) => ({ ...each, series: await prometheus.count(filled(each.expr)) })),
    )
    missing = counted.filter(({ series }) => series === 0)
    return missing.length === 0 || undefined
  }
  await until(DEADLINE_MS, look, () => missing.map(({ title, expr }) => `${title}: ${expr}`).join('\n'))
  for (const { expr } of annotations.list) await prometheus.count(filled(expr))
})

/** With what Grafana puts in place of its variables. */
function filled(expression: string): string {
  const whole = expression
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$job', 'mailmux')
    .replaceAll('$instance', '.*')
  assert.ok(!whole.includes('$'), `a variable that the dashboard does not have: ${whole}`)
  return whole
}
