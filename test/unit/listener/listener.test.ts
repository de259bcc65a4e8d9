import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ListenAddress, ListenerSettings } from '../../../src/config/settings.ts'
import { bindPorts, openInherited, openSent } from '../../../src/listener/bound-ports.ts'
import { createDoors } from '../../../src/listener/doors.ts'
import type { Accept } from '../../../src/listener/door.ts'
import { openListeners, type Listeners } from '../../../src/listener/listener.ts'
import { freePort, isFree } from '../../support/ports.ts'
import { listenerSettings } from './listener-settings.ts'

function listener(name: string, ...listen: ListenAddress[]): ListenerSettings {
  return listenerSettings({ name, listen })
}

function at(port: number, host = '127.0.0.1', optional = false): ListenAddress {
  return { host, port, optional }
}

async function hold(t: TestContext, port: number, host = '127.0.0.1'): Promise<Server> {
  const holder = createServer().listen(port, host)
  await once(holder, 'listening')
  t.after(() => holder.close())
  return holder
}

const nobody: Accept = {
  onConnection: () => assert.fail('no client was to connect'),
  onError: (error) => assert.fail(error),
}

test('hands each connection to the listener that it came in by', async (t) => {
  const [one, two] = [await freePort(), await freePort()]
  const came: string[] = []
  const waiting = Promise.withResolvers<undefined>()
  const listeners = await openListeners([listener('one', at(one)), listener('two', at(two))], {
    ...nobody,
    onConnection(socket, name) {
      came.push(name)
      socket.destroy()
      if (came.length === 2) waiting.resolve(undefined)
    },
  })
  t.after(() => listeners.close())
  assert.deepEqual(listeners.addresses, [
    { listener: 'one', host: '127.0.0.1', port: one },
    { listener: 'two', host: '127.0.0.1', port: two },
  ])
  for (const port of [two, one]) {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => undefined)
    await once(client, 'close')
  }
  await waiting.promise
  assert.deepEqual(came, ['two', 'one'])
})

test('says which listener found its port in use, where, and by whom, and leaves no other open', async (t) => {
  const [free, taken] = [await freePort(), await freePort()]
  await hold(t, taken)
  await assert.rejects(
    openListeners([listener('imap', at(free)), listener('imaps', at(taken))], nobody),
    (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`^listener imaps: cannot listen on 127\\.0\\.0\\.1:${taken}: the port is in use by `),
      )
      // on Linux the holder can be named, and here it is this very process
      assert.match(
        error.message,
        new RegExp(`\\(process ${process.pid}\\); stop that program or choose another port \\(EADDRINUSE\\)$`),
      )
      assert.doesNotMatch(error.message, /\n/)
      return true
    },
  )
  assert.ok(await isFree(free), 'the first port is still open')
})

test('opens the same ports once their holder has gone', async (t) => {
  const [free, taken] = [await freePort(), await freePort()]
  const settings = [listener('imap', at(free)), listener('imaps', at(taken))]
  const holder = await hold(t, taken)
  await assert.rejects(openListeners(settings, nobody))
  holder.close()
  await once(holder, 'close')
  const listeners = await openListeners(settings, nobody)
  listeners.close()
  assert.ok((await isFree(free)) && (await isFree(taken)))
})

test('says that an address is not one of this machine', async () => {
  const port = await freePort()
  await assert.rejects(openListeners([listener('imap', at(port, '192.0.2.1'))], nobody), {
    message: new RegExp(
      `^listener imap: cannot listen on 192\\.0\\.2\\.1:${port}: this machine has no such address; .*\\(EADDRNOTAVAIL\\)$`,
    ),
  })
})

test('writes an IPv6 address with its brackets', async () => {
  const port = await freePort()
  await assert.rejects(openListeners([listener('imap', at(port, '2001:db8::1'))], nobody), {
    message: new RegExp(`^listener imap: cannot listen on \\[2001:db8::1\\]:${port}: `),
  })
})

test('goes without an address family that was asked for in passing', async () => {
  const port = await freePort()
  const listeners = await openListeners([listener('imap', at(port), at(port, '2001:db8::1', true))], nobody)
  assert.deepEqual(listeners.addresses, [{ listener: 'imap', host: '127.0.0.1', port }])
  listeners.close()
})

test('does not forgive a port in use because the address was asked for in passing', async (t) => {
  const port = await freePort()
  await hold(t, port)
  await assert.rejects(openListeners([listener('imap', at(port, '127.0.0.1', true))], nobody), /EADDRINUSE/)
})

/** The ways in which a port is opened; `close` also lets go of what was bound for it. */
const WAYS: Record<string, (settings: ListenerSettings[], accept: Accept) => Promise<Pick<Listeners, 'close'>>> = {
  'bound here': openListeners,
  'bound elsewhere': async (settings, accept) => {
    const bound = await bindPorts(settings)
    const doors = createDoors()
    doors.attend(accept)
    await openInherited(doors, bound.list(), bound.list()[0]?.descriptor ?? 0)
    doors.serve(bound.list())
    return {
      close() {
        doors.close()
        bound.close()
      },
    }
  },
  'sent by another process': async (settings, accept) => {
    const bound = await bindPorts(settings)
    const doors = createDoors()
    doors.attend(accept)
    for (const port of bound.list()) await openSent(doors, port, port.handle)
    doors.serve(bound.list())
    return {
      close() {
        doors.close()
        bound.close()
      },
    }
  },
}

for (const [way, open] of Object.entries(WAYS)) {
  test(`reports each connection that cannot be accepted at a port that is ${way}, and goes on`, async (t) => {
    const { mock } = t.mock.method(Server.prototype, 'listen')
    const failed: string[] = []
    const came = Promise.withResolvers<undefined>()
    const port = await freePort()
    const listeners = await open([listener('imap', at(port))], {
      onConnection(socket) {
        socket.destroy()
        came.resolve(undefined)
      },
      onError: (error, name) => void failed.push(`${name}: ${error.message}`),
    })
    t.after(() => listeners.close())
    const server: unknown = mock.calls.at(-1)?.this
    assert.ok(server instanceof Server)
    for (const code of ['ENOBUFS', 'ENOMEM', 'EMFILE']) server.emit('error', new Error(`accept ${code}`))
    assert.deepEqual(failed, ['imap: accept ENOBUFS', 'imap: accept ENOMEM', 'imap: accept EMFILE'])
    connect(port, '127.0.0.1').on('error', () => undefined)
    await came.promise
  })
}
