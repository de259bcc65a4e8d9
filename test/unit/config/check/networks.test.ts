/** `allow`, `deny` and their files: the networks that are built from them, and the errors and warnings about them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseNetworks } from '../../../../src/config/check/networks.ts'
import { testCases, withListener } from '../cases.ts'
import { load, loadSettings } from '../fixture.ts'

const TLS = 'tls: {certificates: [{cert: cert.pem, key: key.pem}]}'

/** `limits` of the listener, and below them those of all. */
function limits(own: string, defaults = '{}'): string {
  return withListener(`limits: ${own}`, `${TLS}\nlimits: ${defaults}`)
}

testCases([
  { it: 'networks that may connect', main: limits('{allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.1.0.0/16]}') },
  { it: 'a wide network with a narrow one at its start', main: limits('{allow: [10.0.0.0/8], deny: [10.0.0.0/16]}') },
  {
    it: 'a network with bits beyond its prefix',
    main: limits('{deny: [10.1.2.3/8]}'),
    error: /^mailmux\.yaml:2:\d+: has bits beyond its prefix: the network is 10\.0\.0\.0\/8$/,
  },
  {
    it: 'the same among the defaults',
    main: limits('{}', '{allow: ["2001:db8::1/32"]}'),
    error: /^mailmux\.yaml:4:18: has bits beyond its prefix/,
  },
  {
    it: 'an empty list of networks that may connect',
    main: limits('{allow: []}'),
    error: /an empty list lets no client connect/,
  },
  {
    it: 'a network that may connect inside one that may not',
    main: limits('{allow: [10.1.0.0/16], deny: [10.0.0.0/8]}'),
    warning: /^mailmux\.yaml:2:\d+: does nothing: a network of deny has it/,
  },
  {
    it: 'a network that may not connect with the address of admin',
    main: limits('{deny: [127.0.0.0/8]}', '{}\nadmin: {listen: "127.0.0.1:9143"}'),
    warning: /^mailmux\.yaml:2:47: has 127\.0\.0\.1, the address of admin/,
  },
  {
    it: 'the same where admin is at every address',
    main: limits('{}', '{deny: [127.0.0.1]}\nadmin: {listen: "0.0.0.0:9143", token_file: admin.token}'),
    warning: /has 127\.0\.0\.1, the address of admin/,
    others: { 'admin.token': 'a' },
  },
  {
    it: 'every address of a family in deny',
    main: limits('{deny: ["::/0"]}'),
    warning: /no client with an address of this family/,
  },
  {
    it: 'a file of denied networks that has every address',
    main: limits('{deny_file: deny.txt}'),
    others: { 'deny.txt': '192.0.2.0/24\n0.0.0.0/0\n' },
    warning: /^mailmux\.yaml:2:\d+: the file has 0\.0\.0\.0\/0: no client with an address of this family can connect/,
  },
  {
    it: 'a file of denied networks that has the address of admin',
    main: limits('{}', '{deny_file: deny.txt}\nadmin: {listen: "127.0.0.1:9143"}'),
    others: { 'deny.txt': '192.0.2.0/24\n127.0.0.0/8\n' },
    warning: /^mailmux\.yaml:4:21: the file has 127\.0\.0\.0\/8, and so 127\.0\.0\.1, the address of admin/,
  },
  {
    it: 'a file with a line that is no network',
    main: limits('{deny_file: deny.txt}'),
    others: { 'deny.txt': '# spammers\n\n192.0.2.0/24\n10.1.2.3/8 # typing error\nfoo\n' },
    error:
      /deny\.txt has "10\.1\.2\.3\/8" in line 4: has bits beyond its prefix: the network is 10\.0\.0\.0\/8 \(and 1 more lines\)$/,
  },
  {
    it: 'a file of allowed networks that has none',
    main: limits('{}', '{allow_file: allow.txt}'),
    others: { 'allow.txt': '# all gone\n' },
    error: /allow\.txt has no network: no client could connect/,
  },
  { it: 'a file of denied networks that has none', main: limits('{deny_file: deny.txt}'), others: { 'deny.txt': '' } },
  {
    it: 'a file that is missing',
    main: limits('{deny_file: deny.txt}'),
    error: /deny\.txt .*ENOENT|deny\.txt does not exist/,
  },
])

test('the caret is at the network', (t) => {
  const { text } = load(t, { main: limits('{deny: [192.0.2.0/24, 10.1.2.3/8]}') })
  assert.match(text, /^mailmux\.yaml:2:61: .*\n.*\n {60}\^~~~~~~~~~$/m)
})

test('a listener has its own networks in place of the defaults, and a list and its file are one setting', (t) => {
  const main = `listeners:
  - {name: a, protocol: imap, limits: {allow_file: allow.txt}}
  - {name: b, protocol: pop3}
${TLS}
limits: {allow: [10.0.0.0/8], deny: [10.9.0.0/16], deny_file: deny.txt}
`
  const others = { 'allow.txt': '192.0.2.0/24\r\n2001:db8::/32\r\n', 'deny.txt': '10.8.0.0/16' }
  const { listeners } = loadSettings(t, { main, others })
  const deny = ['10.9.0.0/16', '10.8.0.0/16']
  assert.deepEqual(
    listeners.map(({ limits: { access } }) => access),
    [
      { allow: ['192.0.2.0/24', '2001:db8::/32'], deny },
      { allow: ['10.0.0.0/8'], deny },
    ],
  )
})

test('the files are watched', (t) => {
  const { files, directory } = load(t, { main: limits('{deny_file: deny.txt}'), others: { 'deny.txt': '' } })
  assert.ok(files.includes(`${directory}/deny.txt`))
})

test('a hundred thousand networks are read in a moment', () => {
  const lines = Array.from({ length: 100_000 }, (_, n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
  const parsed = parseNetworks(lines.join('\n'))
  assert.equal('value' in parsed && parsed.value.length, 100_000)
})
