/** What the peers stand in front of: the sink, so that the proxy is what is measured, and once a real Dovecot. */
import { startDovecot } from '../support/dovecot.ts'
import type { Scene } from '../support/scene.ts'
import { startChild } from './child.ts'
import { MESSAGE, PASSWORD, userName, USERS } from './message.ts'
import { idleWorkloads, workloads } from './workloads.ts'

export type BackendKind = {
  name: string
  /** as in "in front of ..." */
  title: string
  packages: string[]
  /** the workloads that are measured there */
  workloads: string[]
  /** Starts one; `scene.close()` ends it. */
  start: (scene: Scene) => Promise<{ ports: { imap: number; pop3: number }; users: number }>
}

const sink: BackendKind = {
  name: 'sink',
  title: 'the sink',
  packages: [],
  workloads: [...workloads, ...idleWorkloads].map(({ name }) => name),
  start: async (scene) => {
    const { ready } = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts')
    return { ports: ready, users: USERS }
  },
}

/** Each of the operations under way has a mailbox of its own, and a few are to spare. */
const MAILBOXES = 32

const dovecot: BackendKind = {
  name: 'dovecot',
  title: 'a real Dovecot',
  packages: ['dovecot-imapd', 'dovecot-pop3d'],
  workloads: ['login', 'fetch'],
  start: async (scene) => {
    const users = Array.from({ length: MAILBOXES }, (_, number) => userName(number))
    const passwords = Object.fromEntries(users.map((user) => [user, PASSWORD]))
    const { ports, deliver } = await startDovecot(scene, { name: 'store', users: passwords })
    const message = Buffer.concat([Buffer.from('Subject: bench\r\n\r\n'), MESSAGE])
    for (const user of users) await deliver(user, message)
    return { ports, users: MAILBOXES }
  },
}

export const backendKinds: BackendKind[] = [sink, dovecot]
