/** At `max_connections` the guesses that are held back make room for new clients, and nothing else does. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { within } from '../support/deadline.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { startPasswordStore } from '../support/password-store.ts'
import { openScene } from '../support/scene.ts'

type Client = {
  say: (line: string) => void
  /** Waits for a line, those already read included. */
  hears: (wanted: RegExp) => Promise<string>
}

function openClient(t: TestContext, port: number): Client {
  const socket: Socket = connect({ port, host: '127.0.0.1' })
  t.after(() => socket.destroy())
  let text = ''
  const listeners = new Set<() => void>()
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    for (const look of listeners) look()
  })
  return {
    say: (line) => socket.write(`${line}\r\n`),
    hears(wanted) {
      const heard = new Promise<string>((resolve) => {
        const look = (): void => {
          const found = wanted.exec(text)?.[0]
          if (found === undefined) return
          listeners.delete(look)
          resolve(found)
        }
        listeners.add(look)
        look()
      })
      return within(30_000, heard, () => `no ${wanted} in ${text}`)
    },
  }
}

async function start(t: TestContext): Promise<{ mailmux: Mailmux; guess: (n: number) => Promise<Client> }> {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const store = await startPasswordStore(scene)
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: store.port, pop3: store.port, health: { check: 'none' } } },
    domains: { 'example.test': 'store1' },
    limits: { max_connections: 4, failure_delay: '10s', penalty: { after: 0, step: '30s', most: '30s' } },
    settings: { workers: 1 },
  })
  /** A guess that is held back: the first one refused, each further one of its address delayed. */
  const guess = async (n: number): Promise<Client> => {
    const client = openClient(t, mailmux.ports.imapClear)
    await client.hears(/^\* OK/)
    client.say(`a LOGIN guessed${n}@example.test wrong`)
    return client
  }
  return { mailmux, guess }
}

test('a user logs in at max_connections, and the oldest guess that is held back ends with a goodbye', async (t) => {
  const { mailmux, guess } = await start(t)
  const user = openClient(t, mailmux.ports.imapClear)
  await user.hears(/^\* OK/)
  user.say('a LOGIN alice@example.test secret')
  await user.hears(/^a OK/m)
  const first = await guess(1)
  await mailmux.waitForLog(({ msg }) => msg === 'login refused', 'the refusal, which is held back')
  const second = await guess(2)
  const third = openClient(t, mailmux.ports.pop3Clear)
  await third.hears(/^\+OK/)

  const fifth = openClient(t, mailmux.ports.imapClear)
  await fifth.hears(/^\* OK/)
  assert.equal(await first.hears(/^\* BYE.*$/m), '* BYE [UNAVAILABLE] Too many connections, please try again later.')
  fifth.say('a LOGIN alice@example.test secret')
  await fifth.hears(/^a OK/m)
  await mailmux.waitForLog(({ cause }) => cause === 'too-many-connections', 'the end of the guess')
  await mailmux.waitForLog(({ msg }) => msg === 'too many connections', 'the line for the operator')
  assert.equal(await mailmux.metric('mailmux_connections_rejected_total{reason="too-many-connections"}'), 1)

  // The second guess is delayed by the penalty of the first.
  const sixth = openClient(t, mailmux.ports.imapClear)
  await sixth.hears(/^\* OK/)
  await second.hears(/^\* BYE \[UNAVAILABLE\] Too many connections/m)
  third.say('QUIT')
  await third.hears(/\n\+OK/)
})

test('sessions and clients before their login do not make room', async (t) => {
  const { mailmux } = await start(t)
  for (let n = 0; n < 4; n++) {
    const client = openClient(t, mailmux.ports.imapClear)
    await client.hears(/^\* OK/)
    if (n % 2 === 0) continue
    client.say('a LOGIN alice@example.test secret')
    await client.hears(/^a OK/m)
  }
  const fifth = openClient(t, mailmux.ports.imapClear)
  await fifth.hears(/^\* BYE \[UNAVAILABLE\] Too many connections/)
})
