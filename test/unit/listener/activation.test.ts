import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchGiven, readGiven } from '../../../src/listener/activation.ts'
import { createInheritedSockets } from '../../../src/listener/inherited.ts'
import type { NamedPort } from '../../../src/listener/ports.ts'

const at = (port: number, host = '127.0.0.1') => ({ host, port, optional: false })
const PORTS: NamedPort[] = [
  { name: 'imap', listen: [at(1143), at(1143, '::1')] },
  { name: 'imaps', listen: [at(1993)] },
  { name: 'admin', listen: [at(9143)] },
]

const SOCKETS = new Map([
  [3, { host: '127.0.0.1', port: 1143 }],
  [4, { host: '127.0.0.1', port: 1993 }],
  [5, { host: '127.0.0.1', port: 9143 }],
  [6, { host: '::1', port: 1143 }],
  [7, { host: '127.0.0.1', port: 1144 }],
])
const addressOf = (descriptor: number) => Promise.resolve(SOCKETS.get(descriptor))
const match = (...given: [string | undefined, number][]) =>
  matchGiven(
    given.map(([name, descriptor]) => ({ name, descriptor })),
    PORTS,
    addressOf,
  )

test('reads the sockets that are meant for this process, with their names', () => {
  const env = { LISTEN_PID: '41', LISTEN_FDS: '2', LISTEN_FDNAMES: 'imap:unknown' }
  assert.deepEqual(readGiven(env, 41), [
    { name: 'imap', descriptor: 3 },
    { name: undefined, descriptor: 4 },
  ])
  assert.deepEqual(
    readGiven({ LISTEN_PID: '41', LISTEN_FDS: '1' }, 41),
    [{ name: undefined, descriptor: 3 }],
    'without names',
  )
})

test('takes no sockets that are meant for another process, and none without the variables', () => {
  assert.deepEqual(readGiven({ LISTEN_PID: '40', LISTEN_FDS: '2' }, 41), [])
  assert.deepEqual(readGiven({}, 41), [])
})

test('refuses variables that contradict each other', () => {
  const env = { LISTEN_PID: '41', LISTEN_FDS: '2' }
  assert.throws(
    () => readGiven({ ...env, LISTEN_FDNAMES: 'imap' }, 41),
    /LISTEN_FDNAMES has 1 names.*LISTEN_FDS says 2/,
  )
  assert.throws(() => readGiven({ ...env, LISTEN_FDS: 'two' }, 41), /LISTEN_FDS is no number/)
})

test('gives each socket to the listener of its name and address', async () => {
  const sockets = await match(['imap', 3], ['imap', 6], ['imaps', 4], ['admin', 5])
  assert.deepEqual(
    sockets.map(({ descriptor }) => descriptor),
    [3, 6, 4, 5],
  )
  const inherited = createInheritedSockets(sockets)
  assert.equal(inherited.take({ host: '0:0:0:0:0:0:0:1', port: 1143 }), 6, 'another spelling of the address')
  assert.equal(inherited.take({ host: '::1', port: 1143 }), undefined, 'a descriptor is given once')
  assert.equal(inherited.take({ host: '127.0.0.1', port: 1993 }), 4)
})

test('takes the name of the unit as systemd gives it without FileDescriptorName=', async () => {
  assert.equal((await match(['mailmux-imap.socket', 3], ['imaps.socket', 4])).length, 2)
})

test('finds the listener of a socket without a name by its address', async () => {
  assert.equal((await match([undefined, 4])).length, 1)
  await assert.rejects(match([undefined, 7]), /descriptor 7 is on 127\.0\.0\.1:1144, and no listener listens there/)
})

test('refuses a name that matches no listener, and says which names there are', async () => {
  await assert.rejects(match(['pop3', 3]), {
    message:
      'socket activation: the socket "pop3" (127.0.0.1:1143) matches no listener: FileDescriptorName= of its unit must be one of imap, imaps, admin',
  })
})

test('refuses an address that the listener of that name does not have', async () => {
  await assert.rejects(match(['imap', 7]), {
    message:
      'socket activation: the socket "imap" is on 127.0.0.1:1144, and listener imap does not listen there: ListenStream= of the unit and "listen" must have the same address',
  })
  await assert.rejects(match(['imaps', 3]), /listener imaps does not listen there/)
})

test('refuses a descriptor that is no listening TCP socket, and two of one address', async () => {
  await assert.rejects(match(['imap', 8]), /the socket "imap" is not a listening TCP socket/)
  SOCKETS.set(9, { host: '127.0.0.1', port: 1143 })
  await assert.rejects(match(['imap', 3], ['imap', 9]), /two sockets are on 127\.0\.0\.1:1143/)
})

test('knows which IPv4 port a socket of both families may have', () => {
  const inherited = createInheritedSockets([{ host: '::', port: 143, descriptor: 3 }])
  assert.equal(inherited.mayCover({ host: '0.0.0.0', port: 143 }), true)
  assert.equal(inherited.mayCover({ host: '0.0.0.0', port: 993 }), false)
  assert.equal(inherited.mayCover({ host: '127.0.0.1', port: 143 }), false)
})
