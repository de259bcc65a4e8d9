/** systemd takes the new generation for the main process of the service before the old one ends: it would stop the service otherwise. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { watchGenerations } from '../support/generations.ts'
import { startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { waitUntilEnded } from '../support/process-tree.ts'
import { startProgram } from '../support/processes.ts'
import { lacks } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'

if (lacks('passingPorts')) process.exit(0)

/**
 * Reads late, as a busy systemd does. Prints each datagram on a line, and with MAINPID the state of the process of the first generation,
 * whose id is in a file. Reading without ancillary data closes the descriptor of a barrier.
 */
const RECEIVER = `
import socket, sys, time
def state():
    try: return open('/proc/' + open(sys.argv[2]).read() + '/stat').read().rsplit(')', 1)[1].split()[0]
    except OSError: return 'gone'
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    time.sleep(0.5)
    text = s.recv(65536).decode().replace('\\n', ' ').strip()
    if 'MAINPID=' in text: text += ' first generation: ' + state()
    print(text, flush=True)
`

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

for (const workers of [1, 2])
  test(`the service manager gets MAINPID while the old generation lives, with ${workers} of workers`, async () => {
    const socket = join(scene.directory, 'notify')
    const pidFile = join(scene.directory, 'first.pid')
    const receiver = startProgram(scene, {
      name: 'receiver',
      command: 'python3',
      args: ['-c', RECEIVER, socket, pidFile],
    })
    await receiver.waitForLine((line) => line === 'bound', START_DEADLINE_MS, 'its socket')
    const authority = await makeAuthority(scene.directory)
    const mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: {
        store1: { host: '127.0.0.1', imap: await freePort(), pop3: await freePort(), health: { check: 'none' } },
      },
      users: { 'a@example.test': 'store1' },
      adminToken: 'open',
      settings: { workers },
      env: { ...process.env, NOTIFY_SOCKET: socket },
    })
    const generations = watchGenerations(scene, mailmux)
    await writeFile(pidFile, String(mailmux.pid))
    await receiver.waitForLine((line) => line.startsWith('READY=1'), START_DEADLINE_MS, 'ready')

    // It has no session, so that nothing but the message keeps the old generation.
    assert.equal((await generations.upgrade()).code, 0)
    const line = await receiver.waitForLine((text) => text.includes('MAINPID='), START_DEADLINE_MS, 'MAINPID')
    assert.match(line, new RegExp(`\\bMAINPID=${generations.pid()}\\b.* first generation: [RSD]$`))
    await waitUntilEnded([String(mailmux.pid)])
    await generations.stop()
  })
