/** The formats of files of routes: what each line gives, and that what is written is read again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { createBackendNames } from '../../../src/routes/formats/backend-names.ts'
import { FORMATS, type FileRoute, type FormatName, type WrongLine } from '../../../src/routes/formats/format.ts'
import { createReader, guessFormat } from '../../../src/routes/formats/guess.ts'
import { createFileWriter } from '../../../src/routes/formats/write.ts'

function read(format: FormatName, text: string): (FileRoute | WrongLine)[] {
  return createReader(format)({ first: 1, lines: text.split('\n') })
}

/** Of the back ends only what the names need. */
const backend = (name: string, hosts: string[], ports: BackendSettings['ports']): [string, BackendSettings] => [
  name,
  { name, hosts, ports } as unknown as BackendSettings,
]
const names = createBackendNames({
  backends: new Map([
    backend('store1', ['10.0.0.11'], { imap: 143, pop3: 110 }),
    backend('store2', ['mail2.example.test', '2001:db8::2'], { imap: 143 }),
    backend('twin1', ['10.0.0.30'], { imap: 1143 }),
    backend('twin2', ['10.0.0.30'], { imap: 2143 }),
    backend('by-srv', [], {}),
  ]),
})

describe('csv', () => {
  test('reads a header in any order, and removes what an empty cell of a column says', () => {
    assert.deepEqual(read('csv', 'Status,user,backend,login\ndisabled,ann@x,store1,inner\n,bob@x,store2,'), [
      { line: 2, user: 'ann@x', target: 'store1', login: 'inner', status: 'disabled' },
      { line: 3, user: 'bob@x', target: 'store2', login: null, status: 'active' },
    ])
  })

  test('reads records without a header, with quotes, tabs, comments and empty lines', () => {
    assert.deepEqual(read('csv', '# from the old proxy\n\n"ann@x",store1\n"b ""b""@x","store2","in,ner"'), [
      { line: 3, user: 'ann@x', target: 'store1', isUnnamed: true },
      { line: 4, user: 'b "b"@x', target: 'store2', login: 'in,ner', isUnnamed: true },
    ])
    assert.deepEqual(read('csv', 'ann@x\tstore1'), [{ line: 1, user: 'ann@x', target: 'store1', isUnnamed: true }])
  })

  test('reports a quote that is not closed in its line, and goes on behind it', () => {
    const entries = read('csv', 'user,backend\n"ann@x,store1\nbob@x,store2')
    assert.deepEqual(entries, [
      { line: 2, why: 'a quote is not closed, or stands inside of a field' },
      { line: 3, user: 'bob@x', target: 'store2' },
    ])
  })

  test('reports an unknown column once, and missing and surplus fields each', () => {
    assert.deepEqual(read('csv', 'user,backend,quota\na,b,c\nd,e,f'), [
      { line: 1, why: 'the header has the column "quota"; there are user, backend, login, status' },
    ])
    assert.deepEqual(
      read('csv', 'user,backend\n,store1\nann@x,\nbob@x,store1,x').map((entry) => 'why' in entry && entry.why),
      ['no user', 'no back end for "ann@x"', '3 fields, and there are 2 columns: user, backend'],
    )
  })
})

test('jsonl reports what is no object of a route, without repeating the line', () => {
  const lines = [
    '{"user": "ann@x", "backend": "store1", "login": null, "status": null}',
    '{"user": "bob@x", "backend": "store1"}',
    'secret',
    '["ann"]',
    '{"user": "c", "backend": 3}',
    '{"user": "d", "backend": "store1", "quota": 1}',
  ]
  assert.deepEqual(read('jsonl', lines.join('\n')), [
    { line: 1, user: 'ann@x', target: 'store1', login: null, status: 'active' },
    { line: 2, user: 'bob@x', target: 'store1', login: undefined, status: undefined },
    { line: 3, why: 'no JSON object' },
    { line: 4, why: 'no JSON object' },
    { line: 5, why: 'backend must be a text' },
    { line: 6, why: 'unknown key "quota"' },
  ])
})

test('dovecot reads host, port and destuser of the extra fields, and no password', () => {
  const lines = [
    '# proxies',
    'ann@x:{PLAIN}secret::::::proxy=y host=10.0.0.11',
    'bob@x::1000:1000::/home/bob::userdb_mail=maildir:~/mail proxy_maybe=y passdb_host=2001:db8::2 port=143 destuser=bob',
    'cat@x:{PLAIN}secret::::::nopassword',
    'dan@x:::::::host=10.0.0.11 destuser=%n',
    'secret',
  ]
  assert.deepEqual(read('dovecot', lines.join('\n')), [
    { line: 2, user: 'ann@x', target: '10.0.0.11', login: undefined },
    { line: 3, user: 'bob@x', target: '[2001:db8::2]:143', login: 'bob' },
    { line: 4, why: 'no host for "cat@x": no proxy in the extra fields' },
    { line: 5, why: 'destuser of "dan@x" has a variable' },
    { line: 6, why: 'no line of a passwd-file: no colon behind a user' },
  ])
})

test('nginx reads the body of a map, and reports what has no route', () => {
  const lines = [
    'map $http_auth_user $backend {',
    '  hostnames;',
    '  # the first store',
    '  ann@x 10.0.0.11:143; "bob@x" store2; # both',
    '  ~^c 10.0.0.11:143;',
    '  default 10.0.0.11:143;',
    '  include more.map;',
    '  dan@x $store;',
    '  eve@x',
    '}',
  ]
  const entries = read('nginx', lines.join('\n'))
  assert.deepEqual(entries.slice(0, 2), [
    { line: 4, user: 'ann@x', target: '10.0.0.11:143' },
    { line: 4, user: 'bob@x', target: 'store2' },
  ])
  const wrong = entries.slice(2).map((entry) => ('why' in entry ? `${entry.line}: ${entry.why.slice(0, 30)}` : entry))
  assert.deepEqual(wrong, [
    '5: a regular expression is no use',
    '6: mailmux has no default for use',
    '7: the file "more.map" is not rea',
    '8: the value for "dan@x" has a va',
    '9: no entry of a map, which is: u',
  ])
})

describe('the back end of a line', () => {
  for (const [target, found] of [
    ['store1', 'store1'],
    ['10.0.0.11', 'store1'],
    ['10.0.0.11:110', 'store1'],
    ['MAIL2.example.test', 'store2'],
    ['[2001:DB8:0::2]:143', 'store2'],
    ['2001:db8::2', 'store2'],
    ['10.0.0.30:2143', 'twin2'],
  ] as const)
    test(`${target} is ${found}`, () => assert.deepEqual(names.find(target), { backend: found }))
  for (const [target, wrong] of [
    ['10.0.0.30', /the host of several back ends of the routing file: twin1, twin2/],
    ['10.0.0.11:25', /serves nothing on port 25/],
    ['evil.example', /is no back end of the routing file, neither by name nor by host/],
  ] as const)
    test(`${target} is none`, () => {
      const found = names.find(target)
      assert.match('wrong' in found ? found.wrong : found.backend, wrong)
    })
})

describe('the format', () => {
  for (const [file, text, format] of [
    ['routes.csv', '', 'csv'],
    ['routes.NDJSON', '', 'jsonl'],
    ['standard input', '\n{"user": "a"}', 'jsonl'],
    ['map', 'map $a $b {', 'nginx'],
    ['map', '# x\nann@x 10.0.0.11:143;', 'nginx'],
    ['users', 'ann@x:{PLAIN}x::::::proxy host=10.0.0.1', 'dovecot'],
    ['users', 'ann@x:host=10.0.0.1,y', 'dovecot'],
    ['users', 'ann@x,store1', 'csv'],
    ['users', 'ann@x store1', undefined],
  ] as const)
    test(`of ${file} with ${JSON.stringify(text)} is ${format}`, () =>
      assert.equal(guessFormat(file, text.split('\n')), format))
})

describe('what is written is read again', () => {
  const routes = [
    { user: 'ann@x.test', backend: 'store1', login: undefined, status: undefined },
    { user: "o'neil+tag@x.test", backend: 'twin2', login: undefined, status: undefined },
    { user: '#1@x.test', backend: 'by-srv', login: 'inner', status: undefined },
    { user: 'ünicode@x.test', backend: 'store2', login: undefined, status: 'disabled' },
  ]
  for (const format of FORMATS)
    test(`in ${format}`, () => {
      const { head, write, tail } = createFileWriter(format, names)
      const written = routes.map((route) => ({ route, line: write(route) }))
      const text = [head, ...written.map(({ line }) => line ?? ''), tail].join('')
      const entries = read(format, text.trimEnd())
      const back = entries.map((entry) => {
        assert.ok(!('why' in entry), JSON.stringify(entry))
        const found = names.find(entry.target)
        const status = entry.status === 'active' ? undefined : entry.status
        return {
          user: entry.user,
          backend: 'backend' in found && found.backend,
          login: entry.login ?? undefined,
          status,
        }
      })
      assert.deepEqual(
        back,
        written.filter(({ line }) => line !== undefined).map(({ route }) => route),
      )
      const kept = { csv: 4, jsonl: 4, dovecot: 2, nginx: 2 }[format]
      assert.equal(back.length, kept)
    })
})
