/** The alerts of contrib/prometheus: promtool makes each fire and end, and a running mailmux has every series that they name. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { startMailmux } from '../support/mailmux.ts'
import { startRedis } from '../support/redis.ts'
import { run } from '../support/run.ts'
import { openScene } from '../support/scene.ts'

const FILE = join(import.meta.dirname, '../../contrib/prometheus/alerts.yaml')

/** A series by its name and labels, and its values, one a minute, in promtool's notation. */
type Values = Record<string, string>

/**
 * `values` break something at minute 0 and repair it later. `fires`: a minute at which the alert fires; `rests`: one at which it does not.
 * `labels`: of the alert, beside its severity
 */
type Case = {
  severity: 'page' | 'ticket'
  values: Values
  fires: number
  rests: number[]
  labels: Record<string, string>
}

const HERE = { instance: 'mux1' }

const CASES: Record<string, Case> = {
  MailmuxInstanceGone: {
    severity: 'page',
    values: { 'up{job="mailmux",instance="mux1"}': '0x5 1x10' },
    fires: 2,
    rests: [0, 7],
    labels: { ...HERE, job: 'mailmux' },
  },
  MailmuxInstanceMissing: {
    severity: 'ticket',
    // Minute 9: one of three ends. Minute 26: an upgrade, and its old generation ends at 46. Minute 56: Redis is away.
    values: {
      'mailmux_instances{instance="mux1"}': '3x8 2x6 3x9 4x19 3x9 1x10',
      'mailmux_generations_draining{instance="mux1"}': '0x25 1x19 0x30',
      'mailmux_directory_up{instance="mux1"}': '1x55 0x10',
    },
    fires: 15,
    rests: [8, 12, 18, 32, 52, 64],
    labels: {},
  },
  MailmuxBackendDown: {
    severity: 'page',
    values: { 'mailmux_backend_up{backend="store1",instance="mux1"}': '0x5 1x10' },
    fires: 2,
    rests: [0, 8],
    labels: { ...HERE, backend: 'store1' },
  },
  MailmuxBackendAddressDown: {
    severity: 'ticket',
    values: { 'mailmux_backend_addresses{backend="store1",protocol="imap",state="down",instance="mux1"}': '1x8 0x10' },
    fires: 6,
    rests: [3, 10],
    labels: { ...HERE, backend: 'store1', protocol: 'imap' },
  },
  MailmuxDirectoryAway: {
    severity: 'page',
    values: { 'mailmux_directory_up{instance="mux1"}': '0x5 1x10' },
    fires: 2,
    rests: [0, 8],
    labels: HERE,
  },
  MailmuxDirectoryDataLost: {
    severity: 'page',
    values: { 'mailmux_directory_data_lost{instance="mux1"}': '1x5 0x10' },
    fires: 2,
    rests: [8],
    labels: HERE,
  },
  MailmuxSnapshotOld: {
    severity: 'ticket',
    // The clock of promtool begins at 0: one snapshot for 40 minutes, then one each minute.
    values: { 'mailmux_snapshot_complete_timestamp_seconds{instance="mux1"}': '0x40 2460+60x20' },
    fires: 35,
    rests: [25, 45],
    labels: HERE,
  },
  MailmuxRoutesInvalid: {
    severity: 'ticket',
    values: { 'mailmux_routes_refused_total{reason="bad-login",instance="mux1"}': '0 1x40' },
    fires: 3,
    rests: [0, 25],
    labels: { ...HERE, reason: 'bad-login' },
  },
  MailmuxCertificateExpires: {
    severity: 'ticket',
    // The clock of promtool begins at 0: thirteen days are left, then a year.
    values: {
      'mailmux_certificate_expiry_timestamp_seconds{certificate="a.pem",instance="mux1"}': '1123200x5 31536000x10',
    },
    fires: 2,
    rests: [8],
    labels: { ...HERE, certificate: 'a.pem' },
  },
  MailmuxConfigurationNotInForce: {
    severity: 'ticket',
    values: { 'mailmux_config_last_reload_successful{instance="mux1"}': '0x5 1x10' },
    fires: 2,
    rests: [0, 8],
    labels: HERE,
  },
  MailmuxRoutingFileHeldBack: {
    severity: 'ticket',
    values: { 'mailmux_config_held_back{instance="mux1"}': '1x8 0x10' },
    fires: 6,
    rests: [3, 10],
    labels: HERE,
  },
  MailmuxLoginsFail: {
    severity: 'page',
    values: {
      'mailmux_logins_total{outcome="accepted",instance="mux1"}': '0+60x200',
      'mailmux_logins_total{outcome="unavailable",instance="mux1"}': '0x100 0+6x20 120x80',
    },
    fires: 115,
    rests: [90, 155],
    labels: {},
  },
  MailmuxLoginsSlow: {
    severity: 'ticket',
    values: {
      'mailmux_login_duration_seconds_count{backend="store1",instance="mux1"}': '0+100x200',
      'mailmux_login_duration_seconds_bucket{backend="store1",le="0.5",instance="mux1"}':
        '0+100x60 6000+50x40 8000+100x100',
    },
    fires: 95,
    rests: [50, 120],
    labels: {},
  },
  MailmuxLoginsWait: {
    severity: 'ticket',
    values: { 'mailmux_backend_logins_waiting{backend="store1",instance="mux1"}': '0x3 4x10 0x10' },
    fires: 12,
    rests: [6, 16],
    labels: { backend: 'store1' },
  },
  MailmuxConnectionsNearLimit: {
    severity: 'page',
    values: {
      'mailmux_connections{instance="mux1"}': '950x8 100x10',
      'mailmux_connections_max{instance="mux1"}': '1000x20',
    },
    fires: 6,
    rests: [3, 10],
    labels: HERE,
  },
  MailmuxDescriptorsNearLimit: {
    severity: 'page',
    values: {
      'mailmux_descriptors_used_ratio{instance="mux1"}': '0.95x8 0.1x10',
    },
    fires: 6,
    rests: [3, 10],
    labels: HERE,
  },
  MailmuxLocalShortage: {
    severity: 'page',
    values: { 'mailmux_local_shortages_total{place="accept",instance="mux1"}': '0 2x20' },
    fires: 2,
    rests: [0, 10],
    labels: { ...HERE, place: 'accept' },
  },
  MailmuxWorkersMissing: {
    severity: 'ticket',
    values: {
      'mailmux_workers{state="up",instance="mux1"}': '3x20',
      'mailmux_workers{state="ended",instance="mux1"}': '1x5 0x10',
    },
    fires: 2,
    rests: [0, 8],
    labels: HERE,
  },
  MailmuxWorkersRestart: {
    severity: 'ticket',
    values: { 'mailmux_worker_restarts_total{instance="mux1"}': '0+1x5 5x40' },
    fires: 6,
    rests: [1, 30],
    labels: HERE,
  },
  MailmuxLogLinesDropped: {
    severity: 'ticket',
    values: { 'mailmux_log_lines_dropped_total{instance="mux1"}': '0 9x40' },
    fires: 3,
    rests: [0, 25],
    labels: HERE,
  },
  MailmuxLimitsNotShared: {
    severity: 'ticket',
    values: { 'mailmux_limits_shared{instance="mux1"}': '0x8 1x10' },
    fires: 6,
    rests: [3, 10],
    labels: HERE,
  },
  MailmuxUpgradeFailed: {
    severity: 'ticket',
    values: { 'mailmux_upgrades_total{outcome="failure",instance="mux1"}': '0 1x40' },
    fires: 3,
    rests: [0, 25],
    labels: HERE,
  },
  MailmuxOldGenerationStays: {
    severity: 'ticket',
    values: { 'mailmux_generations_draining{instance="mux1"}': '1x400 0x10' },
    fires: 370,
    rests: [300, 405],
    labels: HERE,
  },
}

type Rule = { alert: string; expr: string; annotations: Record<string, string> }

async function readRules(): Promise<Rule[]> {
  const { groups } = parse(await readFile(FILE, 'utf8')) as { groups: { rules: Rule[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

/** One test of promtool: it compares the labels of the alerts that fire at a minute. */
function toPromtool(alert: string, { severity, values, fires, rests, labels }: Case) {
  const at = (minute: number, alerts: object[]) => ({ eval_time: `${minute}m`, alertname: alert, exp_alerts: alerts })
  return {
    name: alert,
    interval: '1m',
    input_series: Object.entries(values).map(([series, each]) => ({ series, values: each })),
    alert_rule_test: [at(fires, [{ exp_labels: { ...labels, severity } }]), ...rests.map((minute) => at(minute, []))],
  }
}

test('each alert fires while its cause lasts, and ends after it', async (t) => {
  const scene = openScene()
  t.after(() => scene.close())
  const rules = await readRules()
  assert.deepEqual(Object.keys(CASES).toSorted(), rules.map(({ alert }) => alert).toSorted())
  const checked = await run('promtool', ['check', 'rules', FILE])
  assert.equal(checked.code, 0, checked.stderr)
  // Their texts are for people; what promtool compares are the labels.
  const file = join(scene.directory, 'alerts.yaml')
  const bare = rules.map(({ annotations: _, ...rule }) => rule)
  await writeFile(file, stringify({ groups: [{ name: 'mailmux', rules: bare }] }))
  const tests = join(scene.directory, 'alerts.test.yaml')
  const all = Object.entries(CASES).map(([alert, one]) => toPromtool(alert, one))
  await writeFile(tests, stringify({ rule_files: [file], evaluation_interval: '1m', tests: all }))
  const { code, stdout, stderr } = await run('promtool', ['test', 'rules', tests])
  assert.equal(code, 0, `${stdout}${stderr}`)
})

test('mailmux exposes every series that an alert names, and promtool finds no fault in them', async (t) => {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const backend = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const redis = await startRedis(scene)
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: backend.port, tls: 'none' } },
    settings: { directory: { redis: { url: redis.url, snapshot_file: 'routes.snapshot' } } },
  })
  const text = await mailmux.metrics()
  const exposed = new Set([...text.matchAll(/^# TYPE (\w+) (\w+)$/gmu)].map(([, name]) => name ?? ''))
  const named = (await readRules()).flatMap(({ expr }) => expr.match(/\b(?:mailmux|process)_\w+/gu) ?? [])
  const missing = new Set(
    named.filter((name) => !exposed.has(name) && !exposed.has(name.replace(/_(?:bucket|count)$/u, ''))),
  )
  assert.deepEqual([...missing], [])
  const { code, stdout, stderr } = await run('promtool', ['check', 'metrics'], { input: text })
  assert.equal(code, 0, `${stdout}${stderr}`)
})
