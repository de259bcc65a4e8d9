/** A back end that is taken out of the routing file leaves the scrape with it, in one process and in several, and whatever its workers do. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { startMailmux, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene } from '../support/scene.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'

for (const workers of [1, 2]) {
  test(`a removed back end is in no later scrape, with workers: ${workers}`, async (t) => {
    const scene = openScene()
    t.after(() => scene.close())
    const authority = await makeAuthority(scene.directory)
    const backend = await startFaultyBackend(scene, 'imap', { fault: 'none' })
    const mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: {
        store1: { host: '127.0.0.1', imap: backend.port, tls: 'none' },
        old: {
          host: '127.0.0.1',
          imap: await freePort(),
          tls: 'none',
          health: { check: 'tcp', interval: '1s', fall: 1 },
        },
      },
      settings: { workers },
    })
    const ofOld = async (): Promise<string[]> =>
      (await mailmux.metrics()).split('\n').filter((line) => line.includes('backend="old"'))
    await until(
      START_DEADLINE_MS,
      async () => (await mailmux.metric('mailmux_backend_up{backend="old"}')) === 0 || undefined,
      () => 'the missing back end is not down',
    )
    if (workers > 1) {
      // What an ended worker had counted is kept by the supervisor, and is left out as well.
      await ofOld()
      process.kill(Number(mailmux.log().find(({ msg }) => msg === 'worker serves')?.pid), 'SIGKILL')
      const isAgain = (): boolean => mailmux.log().filter(({ msg }) => msg === 'worker serves').length > workers
      await until(
        START_DEADLINE_MS,
        () => isAgain() || undefined,
        () => 'the worker does not serve again',
      )
    }
    assert.ok((await ofOld()).length > 3)
    const routing = parse(await readFile(mailmux.routingFile, 'utf8')) as { backends: YamlMap }
    delete routing.backends.old
    await writeFile(mailmux.routingFile, stringify(routing))
    mailmux.program.signal('SIGHUP')
    await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload', START_DEADLINE_MS)
    assert.deepEqual(await ofOld(), [])
    assert.equal(await mailmux.metric('mailmux_backend_up{backend="store1"}'), 1)
  })
}
