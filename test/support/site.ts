/** A whole site for the end-to-end tests: a CA, three real stores, with `redis` a directory, and mailmux in front of them. */
import { type Authority, type LeafOptions, makeAuthority } from './certificates.ts'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { type Dovecot, type DovecotOptions, startDovecot } from './dovecot.ts'
import { type MailClient, type MailProtocol, openMailClient, type Security } from './mail-client.ts'
import {
  type Mailmux,
  type MailmuxOptions,
  type MailmuxPorts,
  startMailmux,
  toBackend,
  type YamlMap,
} from './mailmux.ts'
import { type Redis, startRedis } from './redis.ts'
import { openScene, type Scene } from './scene.ts'
import type { PeerTls } from './scripted-peer.ts'

export const STORES = ['store1', 'store2', 'store3'] as const
export type StoreName = (typeof STORES)[number]

/** Every user has a mailbox on every store, with a marker that tells them apart: arriving on the wrong one is seen, not refused. */
export const USERS = ['alice@example.test', 'bob@example.test', 'carol@example.test', 'dora@example.org'] as const
export const PASSWORD = 'secret'

/** Where the people of the usual site live. */
export const HOMES: Record<string, StoreName> = {
  'alice@example.test': 'store1',
  'bob@example.test': 'store2',
  'carol@example.test': 'store3',
}

export type Site = {
  scene: Scene
  authority: Authority
  stores: Record<StoreName, Dovecot>
  redis: Redis | undefined
  mailmux: Mailmux
  /** what a client needs for TLS with mailmux */
  tls: PeerTls
  /** Opens a scripted client at the listener for this protocol and this way of securing it. */
  open: (protocol: MailProtocol, security: Security) => Promise<MailClient>
  close: () => Promise<void>
}

export type SiteOptions = {
  /** keeps the routes in a Redis: HOMES is written there instead of into the routing file */
  redis?: boolean | 'durable'
  /** in place of that: starts a directory of the test's own, and gives the `directory` of the main file; nobody has a route then */
  directory?: (scene: Scene, authority: Authority) => Promise<YamlMap>
  /** how mailmux reaches the stores; default: in clear */
  backendTls?: 'starttls' | 'implicit'
  /** the certificate that the stores show, other than a good one */
  storeCertificate?: LeafOptions
  /** over the usual options of a store */
  store?: (name: StoreName, scene: Scene) => Promise<Partial<DovecotOptions>> | Partial<DovecotOptions>
  /** over the usual options of mailmux */
  mailmux?: Partial<MailmuxOptions>
}

/** Starts it all; on a failure on the way, ends what was started. */
export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const scene = openScene()
  try {
    return await startIn(scene, options)
  } catch (error) {
    await scene.close()
    throw error
  }
}

async function startIn(scene: Scene, options: SiteOptions): Promise<Site> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  const storeCertificate = await authority.issue('store', options.storeCertificate)
  const users = Object.fromEntries(USERS.map((user) => [user, PASSWORD]))
  const startStore = async (name: StoreName) =>
    startDovecot(scene, { name, users, certificate: storeCertificate, ...(await options.store?.(name, scene)) })
  const [store1, store2, store3] = await Promise.all([startStore('store1'), startStore('store2'), startStore('store3')])
  const stores = { store1, store2, store3 }
  scene.closeLater(async () => {
    await Promise.all(STORES.map((name) => stores[name].stop())) // each takes a second: not one after the other
  })

  const redis = options.redis ? await startRedis(scene, { durable: options.redis === 'durable' }) : undefined
  for (const [user, store] of Object.entries(redis === undefined ? {} : HOMES)) {
    await redis?.command('HSET', `mailmux:user:${user}`, 'backend', store)
  }
  const directory =
    redis === undefined
      ? await options.directory?.(scene, authority)
      : { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } }
  const mailmux = await startMailmux(scene, {
    certificate,
    backends: Object.fromEntries(
      STORES.map((name) => [name, toBackend(stores[name], options.backendTls, authority.caFile)]),
    ),
    ...(directory === undefined ? { users: HOMES } : { directory }),
    ...options.mailmux,
  })
  if (directory !== undefined) await directoryConnected(mailmux)

  const tls: PeerTls = { ca: authority.ca, servername: 'mail.example.test' }
  return {
    scene,
    authority,
    stores,
    redis,
    mailmux,
    tls,
    open: (protocol, security) =>
      openMailClient(scene, protocol, mailmux.ports[doorTo(protocol, security)], security, tls),
    close: () => scene.close(),
  }
}

/** mailmux is ready without its directory, which it connects to in the background. */
export async function directoryConnected(mailmux: Mailmux): Promise<void> {
  await until(
    START_DEADLINE_MS,
    async () => (await mailmux.metric('mailmux_directory_up')) === 1 || undefined,
    () => 'mailmux does not connect to Redis',
  )
}

/** A move needs the heartbeat of each instance, which comes a moment after its connection. */
export async function instancesListed(redis: Redis, count = 1): Promise<void> {
  await until(
    START_DEADLINE_MS,
    async () => (await redis.command('ZCARD', 'mailmux:instances')) === String(count) || undefined,
    () => `Redis does not list ${count} instances`,
  )
}

function doorTo(protocol: MailProtocol, security: Security): keyof MailmuxPorts {
  if (protocol === 'imap') return ({ starttls: 'imap', implicit: 'imaps', clear: 'imapClear' } as const)[security]
  return ({ starttls: 'pop3', implicit: 'pop3s', clear: 'pop3Clear' } as const)[security]
}
