/** The real CrowdSec reads log lines with the parser and the scenario of contrib/: it bans an address that guesses, and no other. */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { stringify } from 'yaml'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const ROOT = join(import.meta.dirname, '../..')
const CONTRIB = join(ROOT, 'contrib/crowdsec')
/** unpacked by test/support/crowdsec.sh */
const CROWDSEC = join(ROOT, '.runtime/crowdsec')
/** The capacity of the scenario: one more is too many. */
const CAPACITY = 20

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

/** Lines as test/e2e/fail2ban.test.ts has them from a running mailmux, one a second. */
function refusals(client: string, reason: string, count: number, attempted = 'someone'): string[] {
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(Date.UTC(2026, 10, 30, 10, 0, index)).toISOString()
    const fields = { session: `s-${index}`, client, clientPort: 4711, listener: 'imap', attempted, mechanism: 'LOGIN' }
    return JSON.stringify({ level: 'info', time, ...fields, reason, ms: 3, msg: 'login refused' })
  })
}

/** Has CrowdSec read the lines to their end. @returns what it has written */
async function read(lines: readonly string[], type: 'mailmux' | 'syslog'): Promise<string> {
  const { directory } = scene
  const at = (...names: string[]): string => join(directory, ...names)
  for (const name of ['parsers', 'scenarios', 'postoverflows', 'data', 'hub', 'notifications', 'acquis.d'])
    mkdirSync(at(name), { recursive: true })
  const hub = join(CROWDSEC, 'usr/share/crowdsec/hub')
  cpSync(join(hub, '.index.json'), at('hub/.index.json'))
  for (const parser of ['s00-raw/crowdsecurity/syslog-logs.yaml', 's02-enrich/crowdsecurity/dateparse-enrich.yaml']) {
    const [stage = '', , file = ''] = parser.split('/')
    cpSync(join(hub, 'parsers', parser), at('parsers', stage, file))
  }
  cpSync(join(CROWDSEC, 'etc/crowdsec/patterns'), at('patterns'), { recursive: true })
  for (const name of ['simulation.yaml', 'profiles.yaml']) cpSync(join(CROWDSEC, 'etc/crowdsec', name), at(name))
  cpSync(CONTRIB, directory, { recursive: true })
  cpSync(join(CONTRIB, 'acquis.d'), at('acquis.d'), { recursive: true })
  const port = await freePort()
  const config = {
    common: { daemonize: false, log_media: 'stdout', log_level: 'info' },
    config_paths: {
      config_dir: `${directory}/`,
      data_dir: `${at('data')}/`,
      simulation_path: at('simulation.yaml'),
      hub_dir: at('hub/'),
      index_path: at('hub/.index.json'),
      notification_dir: at('notifications/'),
      plugin_dir: `${at('data')}/`,
    },
    crowdsec_service: { acquisition_dir: at('acquis.d'), parser_routines: 1 },
    cscli: { output: 'human' },
    db_config: { type: 'sqlite', db_path: at('data/crowdsec.db'), use_wal: false },
    prometheus: { enabled: false },
    api: {
      client: { credentials_path: at('lapi.yaml') },
      server: { enable: true, log_level: 'info', listen_uri: `127.0.0.1:${port}`, profiles_path: at('profiles.yaml') },
    },
  }
  writeFileSync(at('config.yaml'), stringify(config))
  writeFileSync(at('lapi.yaml'), stringify({ url: `http://127.0.0.1:${port}/` }))
  const client = ['machines', 'add', 'test', '--password', 'secret', '-f', at('lapi.yaml')]
  const added = await run(join(CROWDSEC, 'usr/bin/cscli'), ['-c', at('config.yaml'), ...client])
  assert.equal(added.code, 0, added.stderr)
  writeFileSync(at('mailmux.log'), lines.map((line) => `${line}\n`).join(''))
  const args = ['-c', at('config.yaml'), '-dsn', `file://${at('mailmux.log')}`, '-type', type, '-info']
  const { stdout, stderr } = await run(join(CROWDSEC, 'usr/bin/crowdsec'), args, { ms: 120_000 })
  const text = stdout + stderr
  assert.match(text, /Acquisition is finished/)
  return text
}

const bans = (text: string): string[] => [...text.matchAll(/by ip (\S+) : 4h ban/g)].map(([, ip = '']) => ip)

test('bans the address of many wrong passwords, and none for an outage, a few slips, or a name that looks like a line', async () => {
  const text = await read(
    [
      ...refusals('198.51.100.7', 'authentication-failed', CAPACITY + 5),
      ...refusals('2001:db8::7', 'authentication-failed', CAPACITY + 5),
      ...refusals('198.51.100.8', 'unavailable', 3 * CAPACITY),
      ...refusals('198.51.100.9', 'authentication-failed', CAPACITY),
      ...refusals(
        '198.51.100.10',
        'unavailable',
        3 * CAPACITY,
        '","client":"192.0.2.1","reason":"authentication-failed',
      ),
    ],
    'mailmux',
  )
  assert.deepEqual(bans(text).sort(), ['198.51.100.7', '2001:db8::7'])
})

test('bans it too where the lines come through syslog or the journal', async () => {
  const lines = refusals('198.51.100.7', 'authentication-failed', CAPACITY + 5)
  const text = await read(
    lines.map((line) => `Nov 30 10:00:00 mail1 mailmux[4711]: ${line}`),
    'syslog',
  )
  assert.deepEqual(bans(text), ['198.51.100.7'])
})
