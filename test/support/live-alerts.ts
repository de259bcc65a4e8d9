/**
 * The alerts of contrib/prometheus on sites that are really broken: their rules with periods of seconds, the test that breaks each of
 * them, and the wait until they fire and end. The expressions are those of the file.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { parse, stringify } from 'yaml'
import { START_DEADLINE_MS, until } from './deadline.ts'
import type { Prometheus } from './prometheus.ts'
import type { Scene } from './scene.ts'

const FILE = join(import.meta.dirname, '../../contrib/prometheus/alerts.yaml')

/** Each alert, by the test file that makes it fire and end. The causes of an instance are in the second. */
export const BROKEN_IN = {
  'alerts-live.test.ts': [
    'MailmuxBackendAddressDown',
    'MailmuxBackendDown',
    'MailmuxCertificateExpires',
    'MailmuxConfigurationNotInForce',
    'MailmuxConnectionsNearLimit',
    'MailmuxDirectoryAway',
    'MailmuxDirectoryDataLost',
    'MailmuxLimitsNotShared',
    'MailmuxLoginsFail',
    'MailmuxLoginsSlow',
    'MailmuxLoginsWait',
    'MailmuxRoutesInvalid',
    'MailmuxRoutingFileHeldBack',
    'MailmuxSnapshotOld',
  ],
  'alerts-live-instances.test.ts': [
    'MailmuxDescriptorsNearLimit',
    'MailmuxInstanceGone',
    'MailmuxInstanceMissing',
    'MailmuxLocalShortage',
    'MailmuxLogLinesDropped',
    'MailmuxOldGenerationStays',
    'MailmuxUpgradeFailed',
    'MailmuxWorkersMissing',
    'MailmuxWorkersRestart',
  ],
} as const

/** Periods of the file, as these tests have them. Two scrapes are within the shortest, with an interval of two seconds too. */
const PERIODS: Readonly<Record<string, string>> = {
  '[5m:1m]': '[4s:1s]',
  '[1h:1m]': '[10s:1s]',
  '[5m]': '[6s]',
  '[15m]': '[8s]',
  '[30m]': '[8s]',
  '[1h]': '[10s]',
  '[6h]': '[12s]',
}

/** The age of a snapshot that is too old: more than the 30 s after which mailmux looks again whether it has all routes. */
const OLD_SNAPSHOT = { '> 1800': '> 45' }

type Rule = { alert: string; expr: string; for?: string }

/** @returns a copy of the file with periods of seconds. @throws AssertionError where an alert of the file is in no list, or in two */
export async function shortRules(scene: Scene): Promise<string> {
  const { groups } = parse(await readFile(FILE, 'utf8')) as { groups: { name: string; rules: Rule[] }[] }
  const rules = groups.flatMap((group) => group.rules)
  const broken = Object.values(BROKEN_IN).flat()
  assert.deepEqual(rules.map(({ alert }) => alert).toSorted(), broken.toSorted(), 'alerts that no test breaks')
  for (const rule of rules) {
    rule.expr = rule.expr.replace(/\[[\dmhs:]+\]/g, (period) => {
      const short = PERIODS[period]
      assert.ok(short !== undefined, `no short form of ${period}`)
      return short
    })
    if (rule.alert === 'MailmuxSnapshotOld') rule.expr = replaceAll(rule.expr, OLD_SNAPSHOT)
    if (rule.for !== undefined) rule.for = '1s'
  }
  const file = join(scene.directory, 'alerts.yaml')
  await writeFile(file, stringify({ groups: groups.map((group) => ({ ...group, interval: '1s' })) }))
  return file
}

function replaceAll(text: string, pairs: Readonly<Record<string, string>>): string {
  for (const [from, to] of Object.entries(pairs)) {
    assert.ok(text.includes(from), `${from} is not in ${text}`)
    text = text.replace(from, to)
  }
  return text
}

type Work = () => Promise<unknown>

export type LiveAlerts = {
  /** Repeats `work` until all of these alerts fire, so that rates have something to tell. */
  fire: (alerts: readonly string[], work?: Work) => Promise<void>
  /** Repeats the usual work until none of them fires. */
  end: (alerts: readonly string[]) => Promise<void>
  /** A test of its own: breaks something, waits until the alerts fire, repairs it in any case, and waits until they end. */
  breaks: (alerts: readonly string[], breakIt: () => unknown, repair: () => unknown, work?: Work) => Promise<void>
  /** Waits until no alert fires. */
  rest: () => Promise<void>
  /** @throws AssertionError where the alerts that have fired and ended are not those of the list */
  checkAll: (list: keyof typeof BROKEN_IN) => void
}

const idle = (): Promise<void> => Promise.resolve()

/** @param usual what clients do while nothing is broken */
export function watchAlerts(t: TestContext, prometheus: Prometheus, usual: Work): LiveAlerts {
  const ended = new Set<string>()

  async function become(alerts: readonly string[], fires: boolean, work: Work): Promise<void> {
    let firing: string[] = []
    await until(
      START_DEADLINE_MS * 2,
      async () => {
        await work()
        firing = await prometheus.firing()
        return alerts.every((alert) => firing.includes(alert) === fires) || undefined
      },
      () => `${alerts.join(', ')}: not all ${fires ? 'fire' : 'end'}. These fire: ${firing.join(', ')}`,
    )
  }
  const fire = (alerts: readonly string[], work: Work = idle): Promise<void> => become(alerts, true, work)
  async function end(alerts: readonly string[]): Promise<void> {
    await become(alerts, false, usual)
    for (const alert of alerts) ended.add(alert)
  }

  return {
    fire,
    end,
    async breaks(alerts, breakIt, repair, work) {
      await t.test(alerts.join(', '), async () => {
        try {
          await breakIt()
          await fire(alerts, work)
        } finally {
          await repair()
        }
        await end(alerts)
      })
    },
    async rest() {
      let firing: string[] = []
      await until(
        START_DEADLINE_MS * 2,
        async () => (firing = await prometheus.firing()).length === 0 || undefined,
        () => `alerts fire on a site that is well: ${firing.join(', ')}`,
      )
    },
    checkAll: (list) => assert.deepEqual([...ended].sort(), BROKEN_IN[list].toSorted()),
  }
}
