/** The real program while its wall clock is set, in both directions, and while it is stopped: checks and lookups go on, and sessions live. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startFaultyBackend, type FaultyBackend } from '../support/faulty-backend.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { startProgram, type Program } from '../support/processes.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type ScriptedPeer } from '../support/scripted-peer.ts'

/** Where Debian's package faketime has it, as the loader finds it for each architecture. */
const LIBRARY = '/usr/$LIB/faketime/libfaketime.so.1'
/** A name is looked up again 5 s after a failure or at the end of its TTL. */
const DEADLINE_MS = 4 * START_DEADLINE_MS

type Place = {
  scene: Scene
  mailmux: Mailmux
  backend: FaultyBackend
  /** Sets the wall clock off by this, as `faketime` writes it; `+0` is the true time. */
  step: (offset: string) => Promise<void>
  /** Says where the back end's name leads to. */
  say: (address: string) => Promise<void>
  open: () => Promise<ScriptedPeer>
}

/**
 * @param monotonic whether the monotonic clock is set off too, which no real machine does, but a virtual one may
 * @param timeout of a health check: so long that a busy machine is not taken for a clock that was set
 */
async function start(t: TestContext, monotonic: boolean, timeout = '1m'): Promise<Place> {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const backend = await startFaultyBackend(scene, 'imap', { fault: 'none', host: '0.0.0.0' })
  const clockFile = join(scene.directory, 'clock')
  const step = (offset: string) => writeFile(clockFile, `${offset}\n`)
  await step('+0')
  const { dnsmasq, port, hostsFile } = await startDns(scene)
  const say = async (address: string): Promise<void> => {
    await writeFile(hostsFile, `${address} store1.example.test\n`)
    dnsmasq.signal('SIGHUP')
  }
  await say('127.0.0.1')
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: {
      store1: {
        host: 'store1.example.test',
        imap: backend.port,
        tls: 'none',
        health: { check: 'tcp', interval: '1s', timeout, fall: 1 },
      },
    },
    domains: { 'example.test': 'store1' },
    routing: { resolvers: [`127.0.0.1:${port}`] },
    settings: { workers: 1 },
    env: {
      ...process.env,
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      ...(monotonic ? {} : { FAKETIME_DONT_FAKE_MONOTONIC: '1' }),
    },
  })
  return { scene, mailmux, backend, step, say, open: () => connectPeer(scene, { port: mailmux.ports.imapClear }) }
}

async function startDns(scene: Scene): Promise<{ dnsmasq: Program; port: number; hostsFile: string }> {
  const hostsFile = join(scene.directory, 'hosts')
  await writeFile(hostsFile, '')
  const port = await freePort()
  const dnsmasq = startProgram(scene, {
    name: 'dnsmasq',
    command: '/usr/sbin/dnsmasq',
    args: [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=', '--log-facility=-'],
      ...['--no-resolv', '--no-hosts', `--addn-hosts=${hostsFile}`, '--local-ttl=5'],
      ...[`--port=${port}`, '--listen-address=127.0.0.1', '--bind-interfaces'],
    ],
  })
  await dnsmasq.waitForLine((line) => line.includes('started'), START_DEADLINE_MS, 'its start')
  return { dnsmasq, port, hostsFile }
}

async function seeChecks({ backend }: Place, times: number): Promise<void> {
  backend.forget()
  await until(
    DEADLINE_MS,
    () => backend.connections() >= times || undefined,
    () => `${backend.connections()} checks`,
  )
}

async function seeLookup({ mailmux, say }: Place, address: string): Promise<void> {
  await say(address)
  const leadsThere = ({ msg, addresses }: { msg: string; addresses?: unknown }): boolean =>
    msg === 'back end addresses changed' && JSON.stringify(addresses).includes(`${address}:`)
  await mailmux.waitForLog(leadsThere, `a lookup of ${address}`, DEADLINE_MS)
}

/** The year of the banner, by the wall clock of the program. */
async function yearOf({ open }: Place): Promise<number> {
  const peer = await open()
  const greeting = await peer.expect(/^\* OK/)
  peer.destroy()
  return Number(/ (\d{4}) \d\d:/.exec(greeting)?.[1])
}

test('a wall clock that is set back or forward stops neither health checks nor lookups', async (t) => {
  const place = await start(t, false)
  const year = await yearOf(place)
  await seeChecks(place, 2)
  for (const [offset, years, address] of [
    ['-10s', 0, '127.0.0.2'],
    ['-800d', -2, '127.0.0.3'],
    ['+800d', 2, '127.0.0.4'],
    ['+0', 0, '127.0.0.5'],
  ] as const) {
    await place.step(offset)
    assert.ok(Math.abs((await yearOf(place)) - year - years) <= 1, `the clock is not set to ${offset}`)
    await seeChecks(place, 2)
    await seeLookup(place, address)
  }
  const session = await place.open()
  session.send('a login user@example.test secret')
  await session.expectUntil(/^a OK/)
  assert.deepEqual(
    place.mailmux.log().filter(({ msg }) => /^(back end (down|name not found)|defect)$/.test(msg)),
    [],
  )
})

test('a session outlives a jump of the monotonic clock past its idle limit, and checks and lookups go on', async (t) => {
  const place = await start(t, true)
  const session = await place.open()
  session.send('a login user@example.test secret')
  await session.expectUntil(/^a OK/)
  session.send('x capability')
  await session.expectUntil(/^x OK/)
  // Bytes are counted when the session has been looked at for the first time, from when on its silence is measured.
  const series = 'mailmux_relayed_bytes_total{protocol="imap",backend="store1",direction="from-client"}'
  await until(
    START_DEADLINE_MS,
    async () => ((await place.mailmux.metric(series)) ?? 0) > 0 || undefined,
    () => 'no byte is counted',
  )
  await place.step('+3h')
  await seeChecks(place, 2)
  await seeLookup(place, '127.0.0.2')
  session.send('b capability')
  await session.expectUntil(/^b OK/)
  assert.deepEqual(
    place.mailmux.log().filter(({ msg }) => msg === 'session ended' || msg === 'back end down'),
    [],
  )
})

test('a process that was stopped and goes on puts no back end down and ends no session', async (t) => {
  const place = await start(t, false, '5s')
  const session = await place.open()
  session.send('a login user@example.test secret')
  await session.expectUntil(/^a OK/)
  place.mailmux.program.signal('SIGSTOP')
  session.send('b capability')
  await wait(8000) // longer than a check may take
  place.mailmux.program.signal('SIGCONT')
  await session.expectUntil(/^b OK/, START_DEADLINE_MS)
  await seeChecks(place, 2)
  await seeLookup(place, '127.0.0.2')
  assert.deepEqual(
    place.mailmux.log().filter(({ msg }) => msg === 'session ended' || msg === 'back end down'),
    [],
  )
})
