/** Where logins end up, in one word each: the store whose marker is in the mailbox, or what the client was told. */
import assert from 'node:assert/strict'
import { markerSubject } from './dovecot.ts'
import type { MailProtocol } from './mail-client.ts'
import { HOMES, PASSWORD, type Site, type StoreName, STORES } from './site.ts'

export const PROTOCOLS: readonly MailProtocol[] = ['imap', 'pop3']

export type Arrival = StoreName | 'come back later' | 'wrong password' | 'misconfigured' | `told ${string}`

const TOLD: Record<string, Arrival> = {
  'NO [UNAVAILABLE]': 'come back later',
  '-ERR [SYS/TEMP]': 'come back later',
  'NO [AUTHENTICATIONFAILED]': 'wrong password',
  '-ERR [AUTH]': 'wrong password',
  'NO [SERVERBUG]': 'misconfigured',
  '-ERR [SYS/PERM]': 'misconfigured',
}

/** The words that give a user a route to the home of one of the usual mailboxes, under that name. */
export function routeTo(user: string, mailbox: string, store: StoreName = HOMES[mailbox]!): string[] {
  return ['HSET', `mailmux:user:${user}`, 'backend', store, 'login', mailbox]
}

/** Logs in, and tells where that led and how long the answer took. */
export async function arrive(
  site: Pick<Site, 'open'>,
  protocol: MailProtocol,
  user: string,
): Promise<{ at: Arrival; ms: number }> {
  const client = await site.open(protocol, 'implicit')
  try {
    const started = performance.now()
    const { accepted, answer } = await client.login(user, PASSWORD)
    const ms = performance.now() - started
    if (!accepted) return { at: TOLD[/^.*\]/u.exec(answer)?.[0] ?? ''] ?? `told ${answer}`, ms }
    const [subject] = await client.subjects()
    const store = STORES.find((name) => Object.keys(HOMES).some((mailbox) => subject === markerSubject(name, mailbox)))
    return { at: store ?? `told ${String(subject)}`, ms }
  } finally {
    client.peer.destroy()
  }
}

/** Fails where a store has let in anybody who does not live there, by the stores' own logs. */
export function nobodyWentAstray({ stores }: Site, homes: Record<string, StoreName> = HOMES): void {
  const all = STORES.flatMap((store) => {
    const users = [...stores[store].log().matchAll(/-login: Info: Login: user=<([^>]*)>/g)].map(([, user = '']) => user)
    const strangers = users.filter((user) => homes[user] !== store)
    assert.deepEqual(strangers, [], `on ${store}`)
    return users
  })
  assert.ok(all.length > 0, 'the stores have logged no login')
}
