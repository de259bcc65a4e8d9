import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAIN, testCases, type Case } from '../cases.ts'
import { loadSettings } from '../fixture.ts'

const REDIS = `${MAIN}directory: {redis: {url: 'redis://h'}}\n`
const BOTH = `
listeners:
  - {name: imap, protocol: imap}
  - {name: pop3, protocol: pop3}
tls: {certificates: [{cert: cert.pem, key: key.pem}]}
directory: {redis: {url: 'redis://h'}}
`

/** Back ends by their keys, and what comes after them. */
function withBackends(backends: readonly string[], rest: string): string {
  return `backends:\n${backends.map((keys, index) => `  s${index + 1}: {host: h, ${keys}}\n`).join('')}${rest}\n`
}

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  { it: 'placement by hash', main: REDIS, routing: withBackends(['imap: 1'], 'placement: hash') },
  {
    it: 'placement by hash without a directory that remembers',
    routing: withBackends(['imap: 1'], 'placement: hash'),
    error: /^routing\.yaml:3:12: needs directory\.redis in mailmux\.yaml/u,
  },
  {
    it: 'the placement of a domain without a directory that remembers',
    routing: withBackends(['imap: 1'], 'domains: {a.test: {placement: hash}}'),
    error: /^routing\.yaml:3:31: needs directory\.redis/u,
  },
  { it: 'no placement without Redis', routing: withBackends(['imap: 1'], 'users: {a@b.test: s1}\nplacement: none') },
  {
    it: 'a word that is no placement',
    main: REDIS,
    routing: withBackends(['imap: 1'], 'placement: hsah'),
    error: /^routing\.yaml:3:12: expected one of none, hash \(did you mean "hash"\?\)/u,
  },
  {
    it: 'a domain with its own placement',
    main: REDIS,
    routing: withBackends(['imap: 1'], 'domains: {a.test: {placement: hash}, b.test: {placement: none}}'),
  },
  {
    it: 'a domain with a back end and a placement',
    main: REDIS,
    routing: withBackends(['imap: 1'], 'domains: {a.test: {backend: s1, placement: hash}}'),
    error: /^routing\.yaml:3:33: does nothing: every user of this domain is at its backend$/u,
  },
  {
    it: 'a domain with a back end and tags',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [x]'], 'domains: {a.test: {backend: s1, tags: [x]}}'),
    error: /^routing\.yaml:3:33: does nothing: every user/u,
  },
  {
    it: 'a domain with nothing',
    main: REDIS,
    routing: withBackends(['imap: 1'], 'domains: {a.test: {}}'),
    error: /^routing\.yaml:3:11: says nothing: it needs a backend or a placement$/u,
  },
  {
    it: 'tags alone',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [x]'], 'domains: {a.test: {tags: [x]}}'),
    error: /^routing\.yaml:3:20: does nothing without placement: hash/u,
  },
  {
    it: 'tags of a domain that is not placed',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [x]'], 'domains: {a.test: {placement: none, tags: [x]}}'),
    error: /^routing\.yaml:3:37: does nothing with placement: none$/u,
  },
  {
    it: 'a domain with no tags in so many words',
    main: REDIS,
    routing: withBackends(
      ['imap: 1'],
      'domains: {a.test: {placement: none, tags: []}, b.test: {backend: s1, tags: []}}',
    ),
  },
  {
    it: 'the tags of a back end',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [ssd, eu]', 'imap: 1'], 'domains: {a.test: {placement: hash, tags: [eu]}}'),
  },
  {
    it: 'a tag that no back end has',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [ssd]'], 'domains: {a.test: {placement: hash, tags: [sdd]}}'),
    error: /^routing\.yaml:3:44: no back end has the tag "sdd" \(did you mean "ssd"\?\)$/u,
  },
  {
    it: 'a tag that is no name',
    main: REDIS,
    routing: withBackends(["imap: 1, tags: ['a b']"], 'users: {a@b.test: s1}'),
    error: /^routing\.yaml:2:33: not a name/u,
  },
  {
    it: 'tags that no back end has together',
    main: REDIS,
    routing: withBackends(
      ['imap: 1, tags: [ssd]', 'imap: 1, tags: [eu]'],
      'domains: {a.test: {placement: hash, tags: [ssd, eu]}}',
    ),
    error: /^routing\.yaml:4:31: no back end with all of these tags has a weight over 0/u,
  },
  {
    it: 'placement where every back end is kept for a tag',
    main: REDIS,
    routing: withBackends(['imap: 1, tags: [ssd]'], 'placement: hash'),
    error: /^routing\.yaml:3:12: no back end without tags has a weight over 0/u,
  },
  {
    it: 'placement where no back end takes new users',
    main: REDIS,
    routing: withBackends(['imap: 1, weight: 0', 'imap: 1, weight: 0'], 'placement: hash'),
    error: /^routing\.yaml:4:12: no back end without tags has a weight over 0/u,
  },
  {
    it: 'placement where one back end takes no new users',
    main: REDIS,
    routing: withBackends(['imap: 1, weight: 0', 'imap: 1, weight: 1000'], 'placement: hash'),
  },
  {
    it: 'placement with a weight that is none',
    main: REDIS,
    routing: withBackends(['imap: 1, weight: -1'], 'placement: hash'),
    error: /^routing\.yaml:2:34: must be a whole number from 0 to 1000$/u,
  },
  {
    it: 'placement where a back end lacks the port that others have',
    main: BOTH,
    routing: withBackends(['imap: 1, pop3: 2', 'pop3: 2'], 'placement: hash'),
    warning: /^routing\.yaml:3:3: takes no new users: it lacks a port that others have$/u,
  },
  {
    it: 'placement where each back end lacks the port that the other has',
    main: BOTH,
    routing: withBackends(['imap: 1', 'pop3: 2'], 'placement: hash'),
    error: /^routing\.yaml:4:12: no back end serves all protocols that others serve here/u,
  },
  {
    it: 'placement where a port is lacking that no listener is for',
    main: REDIS,
    routing: withBackends(['imap: 1', 'imap: 1, pop3: 2'], 'placement: hash'),
  },
]

testCases(CASES)

test('takes for new users the back ends with weight, with all tags of the domain, with every port that others have', (t) => {
  const { routing } = loadSettings(t, {
    main: BOTH,
    routing: withBackends(
      [
        'imap: 1, pop3: 2',
        'imap: 1, pop3: 2, weight: 0',
        'imap: 1',
        'imap: 1, pop3: 2, tags: [eu], weight: 7',
        'imap: 1, pop3: 2, tags: [eu, ssd]',
      ],
      `placement: hash
domains:
  None.test: {placement: none}
  eu.test: {placement: hash, tags: [eu]}
  fast.eu.test: {placement: hash, tags: [ssd, eu]}
  fixed.test: {backend: s3}`,
    ),
  })
  const names = (pool: readonly { name: string }[] | undefined) => pool?.map(({ name }) => name)
  assert.deepEqual(names(routing.placement.others), ['s1'])
  assert.deepEqual(
    [...routing.placement.domains].map(([domain, pool]) => [domain, names(pool)]),
    [
      ['none.test', undefined],
      ['eu.test', ['s4', 's5']],
      ['fast.eu.test', ['s5']],
    ],
  )
  assert.deepEqual([...routing.domains], [['fixed.test', { backend: 's3' }]])
  assert.equal(routing.backends.get('s4')?.weight, 7)
})
