/** The parts of a run: which peers stand in front of which back end, and under which workloads. */
import { startDovecot } from '../support/dovecot.ts'
import type { Scene } from '../support/scene.ts'
import { startChild } from './child.ts'
import { asByDefault, features } from './features/features.ts'
import { MESSAGE, PASSWORD, userName, USERS } from './message.ts'
import {
  mailmux,
  mailmuxBun,
  mailmuxBunMillionRoutes,
  mailmuxBunTenRoutes,
  mailmuxBunTwoWorkers,
  mailmuxMillionRoutes,
  mailmuxTenRoutes,
  mailmuxTwoWorkers,
} from './peers/mailmux.ts'
import type { Peer } from './peers/peer.ts'
import { buildCrowdWorkloads, type IdleWorkload, idleWorkloads, type Workload, workloads } from './workloads.ts'

export type Setting = {
  name: string
  title: string
  packages: string[]
  /** peers of its own; without them those that the run is about */
  peers?: Peer[]
  workloads: Workload[]
  idleWorkloads: IdleWorkload[]
  /** for warming up, where that takes longer than in front of a sink */
  warmUpSeconds?: number
  /** Starts the back end; `scene.close()` ends it. `users` is how many different ones log in. */
  start: (scene: Scene) => Promise<{ ports: { imap: number; pop3: number }; users: number }>
}

/** Each of the operations under way has a mailbox of its own, and a few are to spare. */
const MAILBOXES = 32
/** As few as there are routes where routes are fewest. */
const FEW_USERS = 10

/** `args` as sink.ts has them. */
function startSink(users: number, args: string[] = []): Setting['start'] {
  return async (scene) => {
    const { ready } = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts', args)
    return { ports: ready, users }
  }
}

const startStore: Setting['start'] = async (scene) => {
  const users = Array.from({ length: MAILBOXES }, (_, number) => userName(number))
  const passwords = Object.fromEntries(users.map((user) => [user, PASSWORD]))
  const { ports, deliver } = await startDovecot(scene, { name: 'store', users: passwords })
  const message = Buffer.concat([Buffer.from('Subject: bench\r\n\r\n'), MESSAGE])
  for (const user of users) await deliver(user, message)
  return { ports, users: MAILBOXES }
}

function pick(...names: string[]): Workload[] {
  return workloads.filter(({ name }) => names.includes(name))
}

/** `possibleSessions`: as many as the limit of open files lets a proxy of one process hold. */
export function listSettings(possibleSessions: number): Setting[] {
  return [
    {
      name: 'sink',
      title: 'In front of the sink',
      packages: [],
      workloads,
      idleWorkloads,
      start: startSink(USERS),
    },
    {
      name: 'dovecot',
      title: 'In front of a real Dovecot',
      packages: ['dovecot-imapd', 'dovecot-pop3d'],
      workloads: pick('login', 'fetch'),
      idleWorkloads: [],
      warmUpSeconds: 30, // a store logs in a hundred users a second, and V8 wants to see thousands
      start: startStore,
    },
    {
      name: 'crowd',
      title: 'With few and with many sessions present',
      packages: [],
      peers: [mailmux, mailmuxBun],
      workloads: buildCrowdWorkloads(possibleSessions),
      idleWorkloads: [],
      start: startSink(USERS),
    },
    {
      name: 'routes',
      title: 'With few and with many routes in Redis, of which the same ten are used',
      packages: [],
      peers: [mailmuxTenRoutes, mailmuxMillionRoutes, mailmuxBunTenRoutes, mailmuxBunMillionRoutes],
      workloads: pick('login'),
      idleWorkloads: [],
      start: startSink(FEW_USERS),
    },
    {
      name: 'workers',
      title: 'One worker and two',
      packages: [],
      peers: [mailmux, mailmuxTwoWorkers, mailmuxBun, mailmuxBunTwoWorkers],
      workloads: pick('login', 'login-tls'),
      idleWorkloads: [],
      start: startSink(USERS),
    },
    {
      name: 'features',
      title: 'One feature switched at a time',
      packages: [],
      peers: [asByDefault, ...features].map(({ peer }) => peer),
      workloads: pick('login', 'noop', 'fetch'),
      idleWorkloads: [],
      start: startSink(USERS, ['id']),
    },
  ]
}
