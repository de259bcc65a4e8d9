/** Keys that had another name in earlier versions: the old name is an error that names the new one, at its place. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { load, MAIN, ROUTING, withListener } from '../fixture.ts'

type Renamed = { old: string; now: string; main?: string; routing?: string; place: string }

/** A routing file with one back end of these keys. */
const withBackend = (keys: string): string => ROUTING.replace('imap: 143', `imap: 143, ${keys}`)

const KEYS: Renamed[] = [
  {
    old: 'capability',
    now: 'imap_capability',
    main: withListener('capability: IMAP4rev1'),
    place: 'mailmux.yaml:2:31',
  },
  {
    old: 'client_user',
    now: 'client_cert_user',
    main: withListener("client_ca_file: cert.pem, client_user: '%{cn}'"),
    place: 'mailmux.yaml:2:57',
  },
  {
    old: 'aliases',
    now: 'domain_aliases',
    routing: `${ROUTING}aliases: {a.test: b.test}\n`,
    place: 'routing.yaml:6:1',
  },
  { old: 'wait', now: 'queue_timeout', routing: withBackend('limits: {wait: 5s}'), place: 'routing.yaml:3:49' },
  { old: 'queue', now: 'queue_size', routing: withBackend('limits: {queue: 5}'), place: 'routing.yaml:3:49' },
  {
    old: 'secret_file',
    now: 'password_file',
    routing: withBackend('master: {user: m, secret_file: secret}'),
    place: 'routing.yaml:3:58',
  },
  {
    old: 'secret_file',
    now: 'password_file',
    routing: withBackend('health: {check: login, user: m, secret_file: secret}'),
    place: 'routing.yaml:3:72',
  },
]

describe('an old name of a key', () => {
  for (const { old, now, main = MAIN, routing = ROUTING, place } of KEYS) {
    test(`${old} is an error that names ${now}, at ${place}`, (t) => {
      const { settings, errors, text } = load(t, { main, routing, others: { secret: 's' } })
      assert.equal(settings, undefined)
      assert.deepEqual(errors, [`${place}: "${old}" is now "${now}"`])
      const [, line = '', caret = ''] = text.split('\n')
      assert.equal(line.slice(caret.indexOf('^'), caret.lastIndexOf('~') + 1), old)
    })
  }
})
