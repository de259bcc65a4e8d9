/** The identity of a client: the ID that it sends (IMAP ID, RFC 2971), and the commands that back ends get (ID, XCLIENT). */
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import type { BackendLogin } from '../../src/protocol/protocol.ts'
import { alice, base64, testBackend, testClient, type BackendCase, type Told } from './play.ts'

const NO = 'NO [AUTHENTICATIONFAILED] Authentication failed.'
const ANSWER = `S: * ID ("name" "mailmux")
      S: i OK ID completed.`
const LOGIN = `C: a LOGIN alice secret
      S: a ${NO}`

function pairs(count: number): [string, string][] {
  return Array.from({ length: count }, (_, index) => [`key${index}`, `value ${index}`])
}

/** Each ID that is accepted, and the identity that the login has then. */
const TAKEN: Record<string, { lines: string; id?: Record<string, string>; ttl?: number }> = {
  NIL: { lines: 'C: i ID NIL' },
  'nil in lower case': { lines: 'C: i id nil' },
  'an empty list': { lines: 'C: i ID ()' },
  pairs: { lines: 'C: i ID ("name" "mutt" "version" "2.2")', id: { name: 'mutt', version: '2.2' } },
  'keys in any case': { lines: 'C: i ID ("NAME" "Mutt")', id: { name: 'Mutt' } },
  'a value that is NIL, and its key not': { lines: 'C: i ID ("name" NIL "os" "BSD")', id: { os: 'BSD' } },
  'an empty value': { lines: 'C: i ID ("name" "")', id: { name: '' } },
  'quotes, backslashes and parentheses in a value': {
    lines: 'C: i ID ("name" "a \\"b\\\\c\\" (d)")',
    id: { name: 'a "b\\c" (d)' },
  },
  'a value that says NIL': { lines: 'C: i ID ("name" "NIL")', id: { name: 'NIL' } },
  'a synchronising literal as a value': {
    lines: `C: i ID ("name" {6}
      S: + OK
      C: a ")(b "os" "BSD")`,
    id: { name: 'a ")(b', os: 'BSD' },
  },
  'non-synchronising literals as key and value': {
    lines: `C: i ID ({4+}
      C: NAME {4+}
      C: a
      C: b)`,
    id: { name: 'a\r\nb' },
  },
  'an empty literal': {
    lines: `C: i ID ("name" {0+}
      C: )`,
    id: { name: '' },
  },
  '30 pairs': {
    lines: `C: i ID (${pairs(30)
      .flatMap(([key, value]) => [`"${key}"`, `"${value}"`])
      .join(' ')})`,
    id: Object.fromEntries(pairs(30)),
  },
  'the longest key and value': {
    lines: `C: i ID ("${'k'.repeat(30)}" "${'v'.repeat(1024)}")`,
    id: { ['k'.repeat(30)]: 'v'.repeat(1024) },
  },
  // the pairs between proxies; the dialogue does not decide which of them are trusted
  'a TTL': { lines: 'C: i ID ("X-Proxy-TTL" "3")', id: { 'x-proxy-ttl': '3' }, ttl: 3 },
  'a TTL of nothing': { lines: 'C: i ID ("x-proxy-ttl" "0")', id: { 'x-proxy-ttl': '0' }, ttl: 0 },
  'a TTL that is no number': { lines: 'C: i ID ("x-proxy-ttl" "-1")', id: { 'x-proxy-ttl': '-1' } },
  'a TTL that is too long a number': { lines: 'C: i ID ("x-proxy-ttl" "9999")', id: { 'x-proxy-ttl': '9999' } },
}

for (const [what, { lines, id = {}, ttl }] of Object.entries(TAKEN))
  testClient(`ID takes ${what}`, imap, {
    script: `
      ${lines}
      ${ANSWER}
      ${LOGIN}`,
    attempts: [alice('LOGIN')],
    told: [{ id, ttl }],
  })

const REFUSED: Record<string, string> = {
  'an atom': 'C: i ID mutt',
  'a list of atoms': 'C: i ID (name mutt)',
  'pairs without parentheses': 'C: i ID "name" "mutt"',
  'a list that does not end': 'C: i ID ("name" "mutt"',
  'a list that does not begin': 'C: i ID "name" "mutt")',
  'a key without a value': 'C: i ID ("name")',
  'three strings': 'C: i ID ("name" "mutt" "version")',
  'a key that is NIL': 'C: i ID (NIL "mutt")',
  'a string that does not end': 'C: i ID ("name" "mutt)',
  'a list in the list': 'C: i ID (("name" "mutt"))',
  'NIL and more': 'C: i ID NIL NIL',
  '31 pairs': `C: i ID (${pairs(31)
    .flatMap(([key, value]) => [`"${key}"`, `"${value}"`])
    .join(' ')})`,
  'a key of 31 octets': `C: i ID ("${'k'.repeat(31)}" "v")`,
  'a value of 1025 octets': `C: i ID ("name" "${'v'.repeat(1025)}")`,
  'a literal of 1025 octets': `C: i ID ("name" {1025+}
    C: ${'v'.repeat(1025)})`,
  'a NUL in a string': 'C: i ID ("name" "a\0b")',
}

for (const [what, lines] of Object.entries(REFUSED))
  testClient(`ID refuses ${what}, and keeps nothing of it`, imap, {
    script: `
      ${lines}
      S: i NO ID takes NIL or a list of pairs
      ${LOGIN}`,
    attempts: [alice('LOGIN')],
    told: [{ id: {}, ttl: undefined }],
  })

const FIRST: Told = { id: { name: 'mutt', 'x-proxy-ttl': '2' }, ttl: 2 }

testClient('keeps the first ID, for every login that follows', imap, {
  script: `
    C: i ID ("name" "mutt" "x-proxy-ttl" "2")
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: a LOGIN alice secret
    S: a ${NO}
    C: i ID ("name" "other" "x-proxy-ttl" "6")
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: a LOGIN alice secret
    S: a ${NO}
    C: a AUTHENTICATE PLAIN ${base64('\0alice\0secret')}
    S: a ${NO}`,
  attempts: [alice('LOGIN'), alice('LOGIN'), alice('PLAIN')],
  told: [FIRST, FIRST, FIRST],
})

testClient('records no identity for a client that sends none', imap, {
  script: LOGIN,
  attempts: [alice('LOGIN')],
  told: [{ id: {}, ttl: undefined }],
})

testClient('records no identity for a pop3 client', pop3, {
  script: `
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('USER')],
  told: [{ id: {}, ttl: undefined }],
})

// towards the back end

const ID =
  '"x-session-id" "1a2b-3" "x-originating-ip" "192.0.2.7" "x-originating-port" "4711" ' +
  '"x-connected-ip" "198.51.100.1" "x-connected-port" "993"'
const TAIL = '"x-proxy-ttl" "6" "x-client-transport" "TLS"'
const XCLIENT = 'XCLIENT ADDR=192.0.2.7 PORT=4711 DESTADDR=198.51.100.1 DESTPORT=993 SESSION=1a2b-3 TTL=6'
const AUTH = `A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}`
const LOGGED_IN = 'S: A OK [CAPABILITY IMAP4rev1] in'

type Identity = Partial<NonNullable<BackendLogin['identity']>>

/** An identity, and the ID that an IMAP back end gets for it. */
const SAID: Record<string, { identity: Identity; said: string }> = {
  'the client identity': { identity: {}, said: `${ID} ${TAIL}` },
  'the server name that the client asked for': {
    identity: { serverName: 'mail.example.test' },
    said: `${ID} "x-connected-name" "mail.example.test" ${TAIL}`,
  },
  'that the client’s leg is in clear, and how many proxies may follow': {
    identity: { tls: false, ttl: 1 },
    said: `${ID} "x-proxy-ttl" "1" "x-client-transport" "insecure"`,
  },
  'an address of IPv6': {
    identity: { client: { address: '2001:db8::7', port: 65535 } },
    said: `${ID.replace('192.0.2.7', '2001:db8::7').replace('4711', '65535')} ${TAIL}`,
  },
  'what the client says of itself': {
    identity: { id: new Map(Object.entries({ name: 'mutt', version: '2.2' })) },
    said: `${ID} ${TAIL} "name" "mutt" "version" "2.2"`,
  },
  'no pair of the client’s that speaks as a proxy does': {
    identity: {
      id: new Map(
        Object.entries({ 'x-originating-ip': '203.0.113.1', 'x-proxy-ttl': '9', 'x-forward-a': 'b', os: 'BSD' }),
      ),
    },
    said: `${ID} ${TAIL} "os" "BSD"`,
  },
  'quotes and backslashes in values and keys': {
    identity: { id: new Map([['na"me', 'a \\ "b"']]) },
    said: `${ID} ${TAIL} "na\\"me" "a \\\\ \\"b\\""`,
  },
  'no value that would break the line or need a literal': {
    identity: {
      id: new Map(
        Object.entries({ name: 'a\r\nA LOGOUT', vendor: 'm\xfctt', os: 'a\0', date: 'a\tb', environment: 'x' }),
      ),
    },
    said: `${ID} ${TAIL} "environment" "x"`,
  },
  '30 pairs at most, its own first': {
    identity: { id: new Map(pairs(30)) },
    said: `${ID} ${TAIL} ${pairs(23)
      .map(([key, value]) => `"${key}" "${value}"`)
      .join(' ')}`,
  },
}

for (const [what, { identity, said }] of Object.entries(SAID))
  testBackend(`sends an imap back end the ID with the login ${what}`, imap, {
    login: { identity },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
      C: I ID (${said})
      C: ${AUTH}
      S: * ID ("name" "Dovecot")
      S: I OK ID completed.
      ${LOGGED_IN}`,
    answer: { untagged: [], text: 'in' },
  })

const SILENT: Record<string, Pick<BackendCase, 'login' | 'script'>> = {
  'that does not know ID': {
    login: { identity: {} },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE X-ID] ready
      C: ${AUTH}
      ${LOGGED_IN}`,
  },
  'that is not to be told': {
    login: {},
    script: `
      S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
      C: ${AUTH}
      ${LOGGED_IN}`,
  },
  'before TLS': {
    login: { identity: {}, startTls: true },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 STARTTLS ID SASL-IR AUTH=PLAIN] ready
      C: S STARTTLS
      S: S OK begin
      = TLS
      C: C CAPABILITY
      S: * CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN
      S: C OK done
      C: I ID (${ID} ${TAIL})
      C: ${AUTH}
      S: I OK
      ${LOGGED_IN}`,
  },
  'that knew ID before TLS alone': {
    login: { identity: {}, startTls: true },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 STARTTLS ID SASL-IR AUTH=PLAIN] ready
      C: S STARTTLS
      S: S OK begin
      = TLS
      C: C CAPABILITY
      S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN
      S: C OK done
      C: ${AUTH}
      ${LOGGED_IN}`,
  },
}

for (const [what, wanted] of Object.entries(SILENT))
  testBackend(`says nothing of the client to an imap back end ${what}`, imap, { ...wanted, answer: { text: 'in' } })

testBackend('goes on where an imap back end refuses ID', imap, {
  login: { identity: {} },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
    C: I ID (${ID} ${TAIL})
    C: ${AUTH}
    S: I BAD no
    ${LOGGED_IN}`,
  answer: { text: 'in' },
})

testBackend('sends the client identity in front of a LOGIN in literals', imap, {
  login: { identity: {}, password: 's\xe9cret' },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 ID] ready
    C: I ID (${ID} ${TAIL})
    C: A LOGIN "alice" {6}
    S: * ID NIL
    S: I OK
    S: + go on
    C: s\xe9cret
    ${LOGGED_IN}`,
  answer: { text: 'in' },
})

testBackend('sends the client identity in front of a token', imap, {
  login: { identity: {}, relayed: { mechanism: 'XOAUTH2', first: 'user=alice\x01auth=Bearer t\x01\x01' } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 ID AUTH=XOAUTH2] ready
    C: I ID (${ID} ${TAIL})
    C: A AUTHENTICATE XOAUTH2
    S: I OK
    S: +\x20
    C: ${base64('user=alice\x01auth=Bearer t\x01\x01')}
    ${LOGGED_IN}`,
  answer: { text: 'in' },
})

const CAPA = `C: CAPA
      S: +OK
      S: SASL PLAIN
      S: .`
const POP3_AUTH = `C: AUTH PLAIN ${base64('\0alice\0secret')}
      S: +OK in`

const XCLIENT_SAID: Record<string, { identity: Identity; said: string }> = {
  'the client identity': { identity: {}, said: `${XCLIENT} CLIENT-TRANSPORT=TLS` },
  'the server name, and a leg in clear': {
    identity: { serverName: 'mail.example.test', tls: false },
    said: `${XCLIENT} CLIENT-TRANSPORT=insecure DESTNAME=mail.example.test`,
  },
  'an address of IPv6': {
    identity: { client: { address: '2001:db8::7', port: 4711 } },
    said: `${XCLIENT.replace('192.0.2.7', '2001:db8::7')} CLIENT-TRANSPORT=TLS`,
  },
  // RFC 3461 4: xtext
  'what could break the line, in xtext': {
    identity: { sessionId: 'a+b=c d\r\nQUIT\x7f\xe9' },
    said: `${XCLIENT.replace('1a2b-3', 'a+2Bb+3Dc+20d+0D+0AQUIT+7F+E9')} CLIENT-TRANSPORT=TLS`,
  },
}

for (const [what, { identity, said }] of Object.entries(XCLIENT_SAID))
  testBackend(`sends a pop3 back end that greets with [XCLIENT] ${what}`, pop3, {
    login: { identity },
    script: `
      S: +OK [XCLIENT] ready
      ${CAPA}
      C: ${said}
      S: +OK Updated
      ${POP3_AUTH}`,
    answer: { text: 'in' },
  })

const POP3_SILENT: Record<string, { greeting: string; login: BackendCase['login'] }> = {
  'that greets without [XCLIENT]': { greeting: '+OK ready', login: { identity: {} } },
  'that has the word further back in its greeting': { greeting: '+OK ready [XCLIENT]', login: { identity: {} } },
  'that greets with another code': { greeting: '+OK [XCLIENTS] ready', login: { identity: {} } },
  'that is not to be told': { greeting: '+OK [XCLIENT] ready', login: {} },
}

for (const [what, { greeting, login = {} }] of Object.entries(POP3_SILENT))
  testBackend(`says nothing of the client to a pop3 back end ${what}`, pop3, {
    login,
    script: `
      S: ${greeting}
      ${CAPA}
      ${POP3_AUTH}`,
    answer: { text: 'in' },
  })

testBackend('says nothing of the client to a pop3 back end before TLS', pop3, {
  login: { identity: {}, startTls: true },
  script: `
    S: +OK [XCLIENT] ready
    C: CAPA
    S: +OK
    S: STLS
    S: .
    C: STLS
    S: +OK
    = TLS
    ${CAPA}
    C: ${XCLIENT} CLIENT-TRANSPORT=TLS
    S: +OK Updated
    ${POP3_AUTH}`,
  answer: { text: 'in' },
})

testBackend('gives up a pop3 back end that offers XCLIENT and refuses it', pop3, {
  login: { identity: {} },
  script: `
    S: +OK [XCLIENT] ready
    ${CAPA}
    C: ${XCLIENT} CLIENT-TRANSPORT=TLS
    S: -ERR [AUTH] not from there`,
  answer: 'backend-no-mechanism',
})
