/** Ports that change while mailmux runs: the new ones are open before the old ones close, or nothing changes. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ListenAddress } from '../../../src/config/settings.ts'
import { addressesOf, bindPorts, openInherited, openSent } from '../../../src/listener/bound-ports.ts'
import type { Accept } from '../../../src/listener/door.ts'
import { createDoors } from '../../../src/listener/doors.ts'
import { openListeners } from '../../../src/listener/listener.ts'
import type { NamedPort, OpenPort } from '../../../src/listener/ports.ts'
import { START_DEADLINE_MS, within } from '../../support/deadline.ts'
import { freePort, isFree } from '../../support/ports.ts'

function at(port: number, host = '127.0.0.1'): ListenAddress {
  return { host, port, optional: false }
}

function named(name: string, ...ports: number[]): NamedPort {
  return { name, listen: ports.map((port) => at(port)) }
}

type Change = { commit: () => void; discard: () => void }
type Opened = { prepare: (ports: NamedPort[]) => Promise<Change>; close: () => void; addresses: () => OpenPort[] }

/** The two ways in which ports are open: by the process that serves them, and by another one. */
const WAYS: Record<string, (ports: NamedPort[], accept: Accept) => Promise<Opened>> = {
  async 'the process that binds them'(ports, accept) {
    const listeners = await openListeners(ports, accept)
    return { ...listeners, addresses: () => listeners.addresses }
  },
  async 'another process'(ports, accept) {
    const bound = await bindPorts(ports)
    const doors = createDoors()
    doors.attend(accept)
    await openInherited(doors, bound.list(), bound.list()[0]?.descriptor ?? 0)
    doors.serve(bound.list())
    return {
      async prepare(wanted) {
        const binding = await bound.prepare(wanted)
        for (const port of binding.added) await openSent(doors, port, port.handle)
        return {
          commit() {
            binding.commit()
            doors.serve(bound.list())
          },
          discard() {
            doors.shut(binding.added)
            binding.discard()
          },
        }
      },
      close() {
        doors.close()
        bound.close()
      },
      addresses: () => addressesOf(bound.list()),
    }
  },
}

for (const [way, open] of Object.entries(WAYS)) {
  /** Opens ports, and notes the listener of each connection. */
  const start = async (t: TestContext, ports: NamedPort[]) => {
    const came: string[] = []
    let noted = Promise.withResolvers<undefined>()
    const opened = await open(ports, {
      onConnection(socket, listener) {
        came.push(listener)
        socket.on('error', () => undefined)
        socket.end()
        noted.resolve(undefined)
        noted = Promise.withResolvers()
      },
      onError: (error) => assert.fail(error),
    })
    t.after(() => opened.close())
    const visit = async (port: number): Promise<string | undefined> => {
      const next = noted.promise
      const socket: Socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.on('error', () => undefined)
      await within(START_DEADLINE_MS, next, () => `no listener has got the connection to ${port}`)
      socket.destroy()
      return came.at(-1)
    }
    return { ...opened, came, visit }
  }

  test(`${way}: a new port serves from the commit on, and the old one until then`, async (t) => {
    const [old, added] = [await freePort(), await freePort()]
    const { prepare, visit, addresses } = await start(t, [named('imap', old)])
    const change = await prepare([named('imap', added)])
    assert.equal(await visit(old), 'imap')
    change.commit()
    assert.equal(await visit(added), 'imap')
    assert.deepEqual(addresses(), [{ listener: 'imap', host: '127.0.0.1', port: added }])
    assert.ok(await isFree(old))
  })

  test(`${way}: a connection to a new port waits for the commit`, async (t) => {
    const [old, added] = [await freePort(), await freePort()]
    const { prepare, came, visit } = await start(t, [named('imap', old)])
    const change = await prepare([named('imap', old), named('pop3', added)])
    const early = connect(added, '127.0.0.1')
    t.after(() => early.destroy())
    await once(early, 'connect')
    await visit(old) // the event loop has seen the earlier connection by then
    assert.deepEqual(came, ['imap'])
    change.commit()
    await within(START_DEADLINE_MS, once(early, 'close'), () => 'the early connection was not served')
    assert.deepEqual(came, ['imap', 'pop3'])
  })

  test(`${way}: a port stays open for a listener with another name`, async (t) => {
    const port = await freePort()
    const { prepare, visit, addresses } = await start(t, [named('imap', port)])
    ;(await prepare([named('mail', port)])).commit()
    assert.equal(await visit(port), 'mail')
    assert.deepEqual(addresses(), [{ listener: 'mail', host: '127.0.0.1', port }])
  })

  test(`${way}: with one port that is in use nothing changes`, async (t) => {
    const [old, added, taken] = [await freePort(), await freePort(), await freePort()]
    const holder = createServer().listen(taken, '127.0.0.1')
    await once(holder, 'listening')
    t.after(() => holder.close())
    const { prepare, visit, addresses } = await start(t, [named('imap', old)])
    await assert.rejects(prepare([named('imap', added), named('pop3', taken)]), /^Error: listener pop3: .*EADDRINUSE/)
    assert.ok(await isFree(added), 'the first port is still open')
    assert.equal(await visit(old), 'imap')
    assert.deepEqual(addresses(), [{ listener: 'imap', host: '127.0.0.1', port: old }])
  })

  test(`${way}: a change that is discarded closes its ports, and can be made again`, async (t) => {
    const [old, added] = [await freePort(), await freePort()]
    const { prepare, visit } = await start(t, [named('imap', old)])
    const wanted = [named('imap', old), named('pop3', added)]
    ;(await prepare(wanted)).discard()
    assert.ok(await isFree(added))
    assert.equal(await visit(old), 'imap')
    ;(await prepare(wanted)).commit()
    assert.equal(await visit(added), 'pop3')
  })

  test(`${way}: says how to change an address that overlaps with an open one`, async (t) => {
    const port = await freePort()
    const { prepare, visit } = await start(t, [named('imap', port)])
    await assert.rejects(prepare([{ name: 'imap', listen: [at(port, '0.0.0.0')] }]), {
      message: `listener imap: cannot listen on 0.0.0.0:${port} while mailmux listens on 127.0.0.1:${port}: remove 127.0.0.1:${port} by one reload and add 0.0.0.0:${port} by the next, or restart`,
    })
    assert.equal(await visit(port), 'imap')
  })
}
