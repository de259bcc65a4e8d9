/** Keys that had another name in earlier versions: the old name is an error that names the new one, at its place. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { load, MAIN, ROUTING, withListener } from './fixture.ts'

type Renamed = { old: string; now: string; main?: string; routing?: string; place: string }

const KEYS: Renamed[] = [
  {
    old: 'capability',
    now: 'imap_capability',
    main: withListener('capability: IMAP4rev1'),
    place: 'mailmux.yaml:2:31',
  },
]

describe('an old name of a key', () => {
  for (const { old, now, main = MAIN, routing = ROUTING, place } of KEYS) {
    test(`${old} is an error that names ${now}`, (t) => {
      const { settings, errors, text } = load(t, { main, routing })
      assert.equal(settings, undefined)
      assert.deepEqual(errors, [`${place}: "${old}" is now "${now}"`])
      const [, line = '', caret = ''] = text.split('\n')
      assert.equal(line.slice(caret.indexOf('^'), caret.lastIndexOf('~') + 1), old)
    })
  }
})
