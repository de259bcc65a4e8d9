/** Files with passwords and tokens that change while mailmux runs, alone and with two workers. */
import assert from 'node:assert/strict'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startMailmux } from '../support/mailmux.ts'
import { startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'

for (const workers of [1, 2])
  test(`uses a changed password of Redis and a changed admin token without a restart (workers: ${workers})`, async (t) => {
    const scene = openScene()
    t.after(() => scene.close())
    const authority = await makeAuthority(scene.directory)
    const redis = await startRedis(scene, {
      durable: true,
      args: ['--requirepass', 'one'],
      cli: ['--no-auth-warning', '-a', 'one'],
    })
    const write = async (name: string, text: string): Promise<void> => {
      await writeFile(join(scene.directory, `${name}.new`), `${text}\n`)
      await rename(join(scene.directory, `${name}.new`), join(scene.directory, name))
    }
    await write('redis.password', 'one')
    const mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: { store1: { host: '127.0.0.1', imap: 9, pop3: 9 } },
      directory: { redis: { url: redis.url, password_file: 'redis.password' } },
      adminToken: 'token-of-the-first-day',
      settings: { workers },
    })
    const isUp = async (up: number): Promise<void> => {
      await until(
        START_DEADLINE_MS,
        async () => (await mailmux.metric('mailmux_directory_up')) === up || undefined,
        () => `the directory is not ${up === 1 ? 'up' : 'down'}`,
      )
    }
    const ask = async (token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}` }
      return (await fetch(`http://127.0.0.1:${mailmux.ports.admin}/api/v1/backends`, { headers })).status
    }
    await isUp(1)
    assert.equal(await ask('token-of-the-first-day'), 200)

    await redis.stop()
    await isUp(0)
    await write('redis.password', 'two')
    await write('admin.token', 'token-of-the-second-day')
    await until(
      START_DEADLINE_MS,
      async () => (await ask('token-of-the-first-day')) === 401 || undefined,
      () => 'the old token is taken still',
    )
    assert.equal(await ask('token-of-the-second-day'), 200)
    const other = await startRedis(scene, { port: redis.port, durable: true, args: ['--requirepass', 'two'] })
    await isUp(1)
    await other.stop()
    assert.ok(!mailmux.log().some(({ msg }) => msg === 'these parts of the configuration change at the next restart'))
    await mailmux.stop()
  })
