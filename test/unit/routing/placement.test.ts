import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { choose, toCandidate } from '../../../src/routing/placement.ts'

type Named = { name: string; weight: number }

/** Some back ends of different names and weights. */
const backends = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$/),
    weight: fc.integer({ min: 1, max: 1000 }),
  }),
  { selector: ({ name }) => name, minLength: 1, maxLength: 20 },
)
const user = fc.stringMatching(/^[a-z0-9._+-]{1,12}@[a-z0-9-]{1,12}\.test$/)

const chosen = (who: string, from: readonly Named[]): string | undefined => choose(who, from.map(toCandidate))?.name

/** How many of so many users each back end gets. */
function spread(from: readonly Named[], users: number): Map<string, number> {
  const candidates = from.map(toCandidate)
  const counts = new Map(from.map(({ name }) => [name, 0]))
  for (let number = 0; number < users; number++) {
    const name = choose(`user${number}@example.test`, candidates)?.name ?? ''
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

const EVEN = ['store1', 'store2', 'store3'].map((name) => ({ name, weight: 1 }))
const UNEVEN = ['a', 'b', 'c'].map((name, index) => ({ name, weight: 10 ** index }))

/** What every version on every machine must choose: another answer would have instances of two versions disagree. */
const GOLDEN: [user: string, even: string, uneven: string][] = [
  ['', 'store1', 'c'],
  ['alice', 'store1', 'c'],
  ['alice@example.test', 'store3', 'c'],
  ['bob@example.test', 'store2', 'c'],
  ['carol@example.test', 'store2', 'c'],
  ['dora@example.org', 'store2', 'c'],
  ['x'.repeat(320), 'store3', 'c'],
  ['user4@example.test', 'store2', 'b'],
  ['user21@example.test', 'store1', 'b'],
  ['user49@example.test', 'store3', 'a'],
  ['user63@example.test', 'store3', 'a'],
  ['user66@example.test', 'store2', 'b'],
  ['jürgen@bücher.test', 'store2', 'c'],
  ['📧', 'store3', 'c'],
]

test('chooses as it always has', () => {
  for (const [who, even, uneven] of GOLDEN) {
    assert.equal(chosen(who, EVEN), even, who)
    assert.equal(chosen(who, UNEVEN), uneven, who)
  }
})

test('chooses none without candidates, and the only one of one', () => {
  assert.equal(chosen('alice@example.test', []), undefined)
  assert.equal(chosen('alice@example.test', [{ name: 'store1', weight: 1 }]), 'store1')
})

test('chooses the same whatever the order', () => {
  fc.assert(
    fc.property(user, backends, fc.infiniteStream(fc.nat()), (who, all, random) => {
      const keys = new Map(all.map((one) => [one, random.next().value as number]))
      const shuffled = [...all].sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0))
      assert.equal(chosen(who, shuffled), chosen(who, all))
    }),
  )
})

test('moves users to a back end that is added, and to no other', () => {
  fc.assert(
    fc.property(user, backends, (who, all) => {
      const [added, ...before] = all
      const [was, is] = [chosen(who, before), chosen(who, all)]
      assert.ok(is === was || is === added?.name, `${who}: ${was} became ${is}`)
    }),
    { numRuns: 1000 },
  )
})

test('moves only the users of a removed back end', () => {
  fc.assert(
    fc.property(user, backends, fc.nat(), (who, all, index) => {
      const gone = all[index % all.length]
      const was = chosen(who, all)
      const is = chosen(
        who,
        all.filter((one) => one !== gone),
      )
      assert.ok(is === was || was === gone?.name, `${who}: ${was} became ${is}`)
    }),
    { numRuns: 1000 },
  )
})

test('moves users to a back end whose weight grows, and to no other', () => {
  fc.assert(
    fc.property(user, backends, fc.nat(), (who, all, index) => {
      const grown = all[index % all.length]
      const was = chosen(who, all)
      const is = chosen(
        who,
        all.map((one) => (one === grown ? { ...one, weight: one.weight * 2 } : one)),
      )
      assert.ok(is === was || is === grown?.name, `${who}: ${was} became ${is}`)
    }),
    { numRuns: 1000 },
  )
})

const USERS = 40_000

for (const weights of [[1, 1, 1], [1, 2, 3, 10], [1000, 1], Array<number>(20).fill(7)]) {
  test(`spreads users as the weights say: ${weights.join(' ')}`, () => {
    const all = weights.map((weight, index) => ({ name: `store${index + 1}`, weight }))
    const total = weights.reduce((sum, weight) => sum + weight)
    const counts = spread(all, USERS)
    for (const { name, weight } of all) {
      const share = weight / total
      // Four standard deviations of a fair draw; the users are always the same, so that this holds for good or not at all.
      const slack = 4 * Math.sqrt(USERS * share * (1 - share))
      const off = Math.abs((counts.get(name) ?? 0) - USERS * share)
      assert.ok(off <= slack, `${name} is ${off} users off its share, of ${slack} allowed`)
    }
  })
}

test('spreads users evenly over back ends whose names and users whose names differ in a letter', () => {
  const all = ['mail-a1', 'mail-a2', 'mail-b1', 'mail-b2'].map((name) => ({ name, weight: 1 }))
  const counts = new Map<string | undefined, number>()
  for (let first = 97; first < 123; first++)
    for (let second = 97; second < 123; second++) {
      const name = chosen(String.fromCharCode(first, second), all)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  for (const count of counts.values()) assert.ok(count > 120 && count < 220, JSON.stringify([...counts]))
})

test('a tie goes to the first name of the alphabet, in whatever order the back ends come', () => {
  const tied = ['c', 'a', 'b'].map((name) => ({ name, weight: 1, seed: 7 }))
  for (const candidates of [tied, tied.toReversed(), tied.toSorted((a, b) => (a.name < b.name ? -1 : 1))]) {
    assert.equal(choose('alice@example.test', candidates)?.name, 'a')
  }
  assert.equal(choose('alice@example.test', []), undefined)
})
