/** The checks of the chaos test find each fault in an invented record, and none in a correct one. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  countGhosts,
  createVisitRecord,
  findOverlaps,
  findUnseen,
  findWanderers,
  type Visit,
} from '../../support/chaos-record.ts'

const visit = (user: string, store: string, fromMs: number, toMs?: number): Visit => ({ user, store, fromMs, toMs })

const began = (who: string) => `Nov 24 12:00:00 ${who}: Debug: Effective uid=65534, gid=65534, home=/mail`
const finished = (who: string) => `Nov 24 12:00:01 ${who}: Debug: User session is finished`

describe('what the stores saw', () => {
  function hearAll(...told: [atMs: number, store: string, line: string][]): readonly Visit[] {
    let now = 0
    const record = createVisitRecord(() => now)
    for (const [atMs, store, line] of told) {
      now = atMs
      record.hear(store, line)
    }
    return record.visits()
  }

  test('is read from the lines of the session processes of both protocols', () => {
    const imap = 'imap(ann@example.test)<101><abc/def+1>'
    const pop3 = 'pop3(bob@example.test)<102><xyz>'
    assert.deepEqual(
      hearAll(
        [10, 'store1', began(imap)],
        [20, 'store2', began(pop3)],
        [30, 'store1', finished(imap)],
        [40, 'store1', 'Nov 24 12:00:02 imap-login: Info: Login: user=<ann@example.test>, method=PLAIN, mpid=101'],
      ),
      [visit('ann@example.test', 'store1', 10, 30), visit('bob@example.test', 'store2', 20)],
    )
  })

  test('distinguishes two sessions of one user, and the same process on two stores', () => {
    const first = 'imap(ann@example.test)<101><abc>'
    const second = 'imap(ann@example.test)<102><def>'
    assert.deepEqual(
      hearAll(
        [1, 'store1', began(first)],
        [2, 'store1', began(second)],
        [3, 'store2', began(first)],
        [4, 'store1', finished(second)],
      ),
      [
        visit('ann@example.test', 'store1', 1),
        visit('ann@example.test', 'store1', 2, 4),
        visit('ann@example.test', 'store2', 3),
      ],
    )
  })

  test('ends with the store', () => {
    let now = 5
    const record = createVisitRecord(() => now)
    record.hear('store1', began('imap(ann@example.test)<101><abc>'))
    record.hear('store2', began('imap(bob@example.test)<101><abc>'))
    now = 9
    record.died('store1')
    assert.deepEqual(record.visits(), [
      visit('ann@example.test', 'store1', 5, 9),
      visit('bob@example.test', 'store2', 5),
    ])
  })
})

describe('two stores at once', () => {
  test('is found, however the visits lie', () => {
    for (const visits of [
      [visit('ann', 'store1', 0, 10), visit('ann', 'store2', 9, 20)],
      [visit('ann', 'store1', 0, 10), visit('ann', 'store2', 3, 4)],
      [visit('ann', 'store2', 5), visit('ann', 'store1', 0)],
      [visit('ann', 'store1', 0, 10), visit('ann', 'store1', 2, 3), visit('ann', 'store3', 8, 9)],
    ]) {
      const found = findOverlaps(visits)
      assert.equal(found.length, 1, JSON.stringify(visits))
      assert.match(found[0]!, /^ann was connected to two stores at once: store. from .* and store./)
    }
  })

  test('is not found where there is none', () => {
    assert.deepEqual(
      findOverlaps([
        visit('ann', 'store1', 0, 10),
        visit('ann', 'store1', 5, 15),
        visit('ann', 'store2', 15, 20), // has moved
        visit('bob', 'store2', 0, 20),
      ]),
      [],
    )
  })
})

describe('a user who was carried to two stores', () => {
  const visits = [
    visit('ann', 'store1', 0, 10),
    visit('ann', 'store2', 15, 20),
    visit('ann', 'store2', 25, 30),
    visit('bob', 'store2', 0),
  ]
  const told = (times: Record<string, number>) => new Map(Object.entries(times))

  test('is found, even one after the other', () => {
    assert.deepEqual(findWanderers(visits, told({ ann: 3, bob: 1 })), [
      'ann was carried to more than one store: store1 from 0 to 10 ms, store2 from 15 to 20 ms, store2 from 25 to 30 ms',
    ])
    assert.equal(findWanderers([...visits, visit('ann', 'store3', 40, 41)], told({ ann: 3 })).length, 1)
  })

  test('is none where the login at the other was not confirmed', () => {
    assert.deepEqual(findWanderers(visits, told({ ann: 2, bob: 1 })), [])
    assert.equal(countGhosts(visits), 1)
    assert.deepEqual(findWanderers(visits.slice(1), told({ ann: 2, bob: 1 })), [])
    assert.equal(countGhosts(visits.slice(1)), 0)
  })
})

test('a login that no store saw is found', () => {
  const visits = [visit('ann', 'store1', 0, 10), visit('bob', 'store2', 0), visit('bob', 'store2', 1)]
  assert.deepEqual(findUnseen(visits, new Map(Object.entries({ ann: 2, bob: 1, eve: 1 }))), [
    'ann was told OK 2 times, and the stores saw 1',
    'eve was told OK 1 times, and the stores saw 0',
  ])
  assert.deepEqual(findUnseen(visits, new Map(Object.entries({ ann: 1, bob: 2 }))), [])
})
