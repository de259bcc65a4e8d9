/** `log.level` follows a reload, and an order of an operator, in the supervisor and in every worker. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { type Mailmux, startMailmux, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

/** Chance hands connections to workers: that so many all go to one is as likely as no accident at all. */
const MANY = 60

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

/** Writes the file, which is watched. */
async function setLevel({ configFile, waitForLog }: Mailmux, level: string, times: number): Promise<void> {
  const settings = parse(await readFile(configFile, 'utf8')) as YamlMap
  await writeFile(configFile, stringify({ ...settings, log: { level, format: 'json' } }))
  let seen = 0
  const isLast = ({ msg }: { msg: string }): boolean => msg === 'configuration taken over' && ++seen === times
  await waitForLog(isLast, `reload ${times}`, START_DEADLINE_MS)
}

async function visit(mailmux: Mailmux): Promise<void> {
  const peer = await connectPeer(scene, { port: mailmux.ports.imapClear })
  await peer.expect(/^\* OK/)
  peer.send('a LOGIN nobody@example.test secret')
  await peer.expect(/^a NO/)
  peer.end()
  await peer.expectClose()
}

const debugLines = (mailmux: Mailmux) => mailmux.log().filter(({ level }) => level === 'debug')

for (const workers of [1, 2]) {
  test(`debug is turned on and off without a restart (workers: ${workers})`, async () => {
    const authority = await makeAuthority(scene.directory)
    const mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
      limits: { failure_delay: '0s' },
      settings: { workers, log: { level: 'info', format: 'json' } },
      adminToken: 'e2e-token',
    })
    await visit(mailmux)
    assert.deepEqual(debugLines(mailmux), [])

    await setLevel(mailmux, 'debug', 1)
    const inWorkers = (): number => new Set(debugLines(mailmux).map(({ worker }) => worker)).size
    for (let count = 0; count < MANY && inWorkers() < workers; count++) {
      await visit(mailmux)
    }
    assert.equal(inWorkers(), workers)
    await mailmux.waitForLog(({ msg }) => msg === 'route decided', 'a decision')
    const said = new Set(debugLines(mailmux).map(({ msg }) => msg))
    for (const msg of ['session begins', 'phase begins', 'route decided']) assert.ok(said.has(msg), msg)
    assert.doesNotMatch(mailmux.program.stdout(), /secret/)

    // What an operator sets counts in place of it, until it is reset.
    const order = async (...args: string[]): Promise<string> => {
      const words = [MAIN, 'log-level', ...args, '-c', mailmux.configFile]
      return (await run(MAILMUX_RUNTIME, words, { ms: START_DEADLINE_MS })).stdout
    }
    assert.equal(await order('warn', '--for', '1h'), 'warn; debug again in 3600 s, as configured\n')
    const quiet = mailmux.log().length
    for (let count = 0; count < 10; count++) await visit(mailmux)
    assert.deepEqual(mailmux.log().slice(quiet), [])
    assert.equal(await order('reset'), 'debug, as configured\n')
    await visit(mailmux)
    await mailmux.waitForLog(({ msg }) => msg === 'log level reset by operator', 'the order')

    await setLevel(mailmux, 'info', 2)
    const before = debugLines(mailmux).length
    for (let count = 0; count < 10; count++) await visit(mailmux)
    await mailmux.stop()
    assert.equal(debugLines(mailmux).length, before)
    assert.ok(!mailmux.log().some(({ msg }) => msg.includes('restart')))
  })
}
