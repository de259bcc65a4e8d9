/** An upgrade of a mailmux that root has started and that has another user now: the new generation gets a port below 1024, which it could not bind. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chownSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { watchGenerations } from '../support/generations.ts'
import { startMailmux } from '../support/mailmux.ts'
import { openProgram } from '../support/open-program.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses, waitUntilEnded } from '../support/process-tree.ts'
import { run } from '../support/run.ts'
import { lacks } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

if (lacks('passingPorts') || process.getuid?.() !== 0) process.exit(0) // without root there is no such port

const USER = 'nobody'

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

/** @returns one below 1024 that no program has */
async function freeLowPort(): Promise<number> {
  for (let port = 1023; port > 600; port--) {
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
  return assert.fail('every port from 601 to 1023 is in use')
}

for (const workers of [1, 2])
  test(`the next generation serves a port below 1024 without root, with ${workers} of workers`, async (t) => {
    const program = openProgram()
    t.after(() => program.remove())
    const port = await freeLowPort()
    const low = {
      name: 'low',
      protocol: 'imap',
      listen: [`127.0.0.1:${port}`],
      tls: 'none',
      allow_plaintext_auth: true,
    }
    const authority = await makeAuthority(scene.directory)
    const mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: {
        store1: { host: '127.0.0.1', imap: await freePort(), pop3: await freePort(), health: { check: 'none' } },
      },
      users: { 'a@example.test': 'store1' },
      adminToken: 'open',
      settings: { workers, user: USER },
      listeners: [low],
      program,
    })
    const generations = watchGenerations(scene, mailmux)
    // The new generation reads its files as this user.
    const uid = Number((await run('id', ['-u', USER])).stdout)
    for (const file of readdirSync(scene.directory, { recursive: true, encoding: 'utf8' }))
      chownSync(join(scene.directory, file), uid, -1)

    const { code, stderr } = await generations.upgrade()
    assert.deepEqual([code, stderr], [0, ''])
    await waitUntilEnded([String(mailmux.pid)])
    const peer = await connectPeer(scene, { port })
    await peer.expect(/^\* OK/)
    peer.destroy()
    const owners = await Promise.all(
      listProcesses(generations.pid()).map(async (pid) => (await run('stat', ['-c', '%U', `/proc/${pid}`])).stdout),
    )
    assert.deepEqual([...new Set(owners.map((owner) => owner.trim()))], [USER])
    await generations.stop()
  })
