/** A Redis that is spoken to in TLS: who is on the other side is proven both ways, or nothing is asked and nothing is told. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Authority, type Leaf, makeAuthority } from '../support/certificates.ts'
import { openMailClient } from '../support/mail-client.ts'
import { startMailmux, type Mailmux, type YamlMap } from '../support/mailmux.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'

let scene: Scene
let authority: Authority
let certificate: Leaf
let client: Leaf
let strangers: Authority
let redis: Redis
before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const apart = join(scene.directory, 'strangers')
  await mkdir(apart)
  strangers = await makeAuthority(apart)
  certificate = await authority.issue('mailmux')
  client = await authority.issue('client', { usage: 'clientAuth' })
  const { certFile, keyFile } = await authority.issue('redis', { usage: 'serverAuth,clientAuth' })
  const tls = { certFile, keyFile, caFile: authority.caFile, clientCertificates: 'yes' } as const
  redis = await startRedis(scene, {
    tls,
    args: ['--requirepass', 'of-redis'],
    cli: ['-a', 'of-redis', '--no-auth-warning'],
  })
  await writeFile(join(scene.directory, 'redis.password'), 'of-redis\n')
  await writeFile(join(scene.directory, 'wrong.password'), 'hunter2\n')
})
after(() => scene.close())

/** mailmux with this Redis, and with a back end that nobody needs here. */
async function start(tls: YamlMap, more: YamlMap = {}): Promise<Mailmux> {
  const own = { url: redis.url, password_file: 'redis.password', tls, ...more }
  return startMailmux(scene, {
    certificate,
    backends: { store1: { host: '127.0.0.1', imap: 9, pop3: 9 } },
    directory: { redis: own },
  })
}

const mutual = (): YamlMap => ({
  ca_file: authority.caFile,
  client_cert: client.certFile,
  client_key: client.keyFile,
  server_name: 'mail.example.test',
})

async function answerTo(mailmux: Mailmux, user: string): Promise<string> {
  const tls = { ca: authority.ca, servername: 'mail.example.test' }
  const { login, peer } = await openMailClient(scene, 'imap', mailmux.ports.imaps, 'implicit', tls)
  const { answer } = await login(user, 'secret')
  peer.destroy()
  return answer
}

test('is asked where both sides have shown who they are', async () => {
  const mailmux = await start(mutual())
  await mailmux.waitForLog(({ msg }) => msg === 'directory connected', 'the connection')
  assert.match(await answerTo(mailmux, 'nobody@example.test'), /^NO \[AUTHENTICATIONFAILED\]/u)
  await redis.command('HSET', 'mailmux:user:off@example.test', 'backend', 'store1', 'status', 'disabled')
  assert.match(await answerTo(mailmux, 'off@example.test'), /^NO \[CONTACTADMIN\]/u)
  await redis.command('DEL', 'mailmux:user:off@example.test')
  assert.match(await answerTo(mailmux, 'off@example.test'), /^NO \[AUTHENTICATIONFAILED\]/u)
  await mailmux.stop()
})

const WRONG: Record<string, { tls: () => YamlMap; more?: YamlMap; cause: RegExp }> = {
  'a CA that has not signed its certificate': {
    tls: () => ({ ...mutual(), ca_file: strangers.caFile }),
    cause: /SELF_SIGNED|UNABLE_TO|signature/u,
  },
  'a name that its certificate does not carry': {
    tls: () => ({ ...mutual(), server_name: 'other.example.test' }),
    cause: /^ERR_TLS_CERT_ALTNAME_INVALID$/u,
  },
  'no certificate of its own': {
    tls: () => ({ ca_file: authority.caFile }),
    // In TLS 1.3 it is refused after the handshake, and Redis hangs up so fast that its reason may not arrive.
    cause: /CERTIFICATE_REQUIRED|^ECONNRESET$|^EPIPE$/u,
  },
  'a wrong password': { tls: mutual, more: { password_file: 'wrong.password' }, cause: /^WRONGPASS/u },
}

for (const [what, { tls, more, cause }] of Object.entries(WRONG)) {
  test(`is not asked by a mailmux with ${what}, which says so and sends users away for a time`, async () => {
    const mailmux = await start(tls(), more)
    const line = await mailmux.waitForLog(({ msg }) => msg === 'directory unavailable', 'what is wrong')
    assert.match(String(line.cause), cause)
    assert.match(await answerTo(mailmux, 'nobody@example.test'), /^NO \[UNAVAILABLE\]/u)
    assert.doesNotMatch(mailmux.program.stdout() + mailmux.program.stderr(), /hunter2|of-redis/u)
    await mailmux.stop()
  })
}
