/**
 * No credential appears in a trace: each protocol, each mechanism, each form in which a client sends a credential or mailmux hands it to a
 * back end, right ones and wrong ones. Everything is sent at once and octet by octet.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MECHANISMS } from '../../src/config/settings.ts'
import type { ClientWire, DialogueFacts, Wire } from '../../src/protocol/protocol.ts'
import type { Leg } from '../../src/trace/line.ts'
import { TracedClientWire, TracedWire } from '../../src/trace/wires.ts'
import { BYTE_BY_BYTE, WHOLE, type Cut } from '../support/splits.ts'
import { base64, openCase, replayCase, type BackendCase, type ClientCase } from './play.ts'

/** In no other text of these conversations, nor is a part of it. */
const SECRET = 'xK9!vQ7-zW3'
const TOKEN = 'eyJhbGciOi.JIUzI1NiJ9'
const SCRAM = 'n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL'
const SCRAM_FINAL = 'c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN'

const plain = base64(`\0alice\0${SECRET}`)
const oauth = base64(`n,a=alice,\x01auth=Bearer ${TOKEN}\x01\x01`)
const xoauth = base64(`user=alice\x01auth=Bearer ${TOKEN}\x01\x01`)

/** Each form of a secret on the wire. Six octets of one are too many. */
const FORMS = [SECRET, TOKEN, SCRAM.slice(3), SCRAM_FINAL].flatMap((secret) => [
  secret,
  ...[0, 1, 2].map((shift) => base64(`${'x'.repeat(shift)}${secret}`).slice(4, -4)),
])
const WHOLES = [plain, oauth, xoauth, base64(SCRAM), base64(SCRAM_FINAL), base64(SECRET), base64('alice')]

function assertNoSecret(lines: readonly string[]): void {
  const text = lines.join('\n')
  for (const form of [...FORMS, ...WHOLES])
    for (let at = 0; at + 6 <= form.length; at++) {
      const part = form.slice(at, at + 6)
      assert.ok(!text.includes(part), `${JSON.stringify(part)} of ${JSON.stringify(form)} is in the trace:\n${text}`)
    }
}

function sinkTo(lines: string[]) {
  return {
    isActive: true,
    line: (leg: Leg, octets: string) => void lines.push(`${leg}: ${octets}`),
    note: (text: string) => void lines.push(text),
  }
}

async function traceClient(
  cut: Cut,
  protocol: 'imap' | 'pop3' | 'managesieve',
  sent: string,
  { facts, ...rest }: Omit<ClientCase, 'script'> = {},
): Promise<string[]> {
  const lines: string[] = []
  const all: Partial<DialogueFacts> = { mechanisms: MECHANISMS, maxBadCommands: 20, ...facts }
  const { wire, ended } = openCase(
    cut,
    protocol,
    { ...rest, facts: all },
    (own: ClientWire) => new TracedClientWire(own, sinkTo(lines)),
  )
  await wire.send(sent)
  await wire.end()
  await ended
  return lines
}

const sasl = (auth: string, end = ''): Record<string, string> => ({
  'PLAIN with an initial response': `${auth} PLAIN ${plain}${end}`,
  'PLAIN in lower case': `${auth.toLowerCase()} plain ${plain}${end}`,
  'PLAIN on a line of its own': `${auth} PLAIN\r\n${plain}`,
  'PLAIN that is no base64': `${auth} PLAIN ${SECRET}`,
  'PLAIN that is no base64 on a line of its own': `${auth} PLAIN\r\n${SECRET}`,
  'PLAIN with a second word': `${auth} PLAIN ${plain} ${SECRET}`,
  'PLAIN after two spaces': `${auth}  PLAIN  ${plain}`,
  LOGIN: `${auth} LOGIN\r\n${base64('alice')}\r\n${base64(SECRET)}`,
  'LOGIN with an initial response': `${auth} LOGIN ${base64('alice')}\r\n${base64(SECRET)}`,
  'LOGIN in clear': `${auth} LOGIN\r\nalice\r\n${SECRET}`,
  'XOAUTH2 with an initial response': `${auth} XOAUTH2 ${xoauth}`,
  'XOAUTH2 on a line of its own': `${auth} XOAUTH2\r\n${xoauth}`,
  'OAUTHBEARER with an initial response': `${auth} OAUTHBEARER ${oauth}`,
  'OAUTHBEARER on a line of its own': `${auth} OAUTHBEARER\r\n${oauth}`,
  'SCRAM-SHA-256': `${auth} SCRAM-SHA-256 ${base64(SCRAM)}\r\n${base64(SCRAM_FINAL)}`,
  'SCRAM-SHA-1 on lines of its own': `${auth} SCRAM-SHA-1\r\n${base64(SCRAM)}\r\n${base64(SCRAM_FINAL)}`,
  'SCRAM-SHA-256-PLUS, which is not offered': `${auth} SCRAM-SHA-256-PLUS ${base64(SCRAM)}`,
  'EXTERNAL with a response': `${auth} EXTERNAL ${base64(SECRET)}`,
  'an unknown mechanism': `${auth} CRAM-MD5 ${plain}\r\n${plain}`,
  'a response in place of a mechanism': `${auth} ${plain}`,
  'a response after a cancel': `${auth} PLAIN\r\n*\r\n${plain}`,
  'a response that nobody asked for': `${plain}\r\n${SECRET}\r\n${base64(SECRET)}`,
})

const CLIENT: Record<'imap' | 'pop3' | 'managesieve', Record<string, string>> = {
  imap: {
    ...sasl('a AUTHENTICATE'),
    'LOGIN of atoms': `a LOGIN alice ${SECRET}`,
    'LOGIN of quoted strings': `a LOGIN "alice" "${SECRET}"`,
    'LOGIN with an escape': `a LOGIN "alice" "${SECRET}\\""`,
    'LOGIN with a literal': `a LOGIN alice {${SECRET.length}}\r\n${SECRET}`,
    'LOGIN of two literals': `a LOGIN {5}\r\nalice {${SECRET.length}}\r\n${SECRET}`,
    'LOGIN of two non-synchronising literals': `a LOGIN {5+}\r\nalice {${SECRET.length}+}\r\n${SECRET}`,
    'LOGIN with a literal name': `a LOGIN {5}\r\nalice ${SECRET}`,
    'LOGIN with a literal name and a quoted password': `a LOGIN {5}\r\nalice "${SECRET}"`,
    'LOGIN of three words': `a LOGIN alice smith ${SECRET}`,
    'LOGIN of one word': `a LOGIN ${SECRET}`,
    'LOGIN with an open quote': `a LOGIN "alice ${SECRET}`,
    'LOGIN with a password before a literal': `a LOGIN alice ${SECRET} {3}\r\nabc`,
    'LOGIN without a tag': `LOGIN alice ${SECRET}`,
    'LOGIN of user login without a tag': `LOGIN login ${SECRET}`,
    'a literal that is too large, sent all the same': `a LOGIN alice {99999}\r\n${SECRET}\r\n${SECRET} ${SECRET}`,
    'an ID with a password': `a ID ("name" "x" "password" "${SECRET}")`,
    'an ID with a password as its key': `a ID ("${SECRET}" "x")`,
    'an ID with a literal': `a ID ("name" {${SECRET.length}}\r\n${SECRET})`,
    'an ID that is no list': `a ID ${SECRET}`,
    'NOOP with a password': `a NOOP ${SECRET}`,
    'a password as a tag': `${SECRET} alice`,
    'a password as the tag of a command': `${plain} NOOP`,
    'an unknown command': `a XLOGIN alice ${SECRET}`,
    'a command of a session': `a SELECT ${SECRET}`,
  },
  pop3: {
    ...sasl('AUTH'),
    'USER and PASS': `USER alice\r\nPASS ${SECRET}`,
    'PASS with spaces': `USER alice\r\nPASS  ${SECRET} ${SECRET}`,
    'pass in lower case': `user alice\r\npass ${SECRET}`,
    'PASS first': `PASS ${SECRET}`,
    'USER with a password': `USER alice ${SECRET}`,
    'USER and PASS on one line': `USER alice PASS ${SECRET}`,
    APOP: `APOP alice ${SECRET}`,
    'a password alone': `USER alice\r\n${SECRET}`,
    'an unknown command': `XPASS ${SECRET}`,
    'X-PROXY-TTL with a password': `X-PROXY-TTL ${SECRET}`,
    'XCLIENT with a password': `XCLIENT ADDR=192.0.2.7 LOGIN=${SECRET}`,
    'CAPA with a password': `CAPA ${SECRET}`,
  },
  managesieve: {
    ...sasl('AUTHENTICATE'),
    'quoted strings': `AUTHENTICATE "PLAIN" "${plain}"`,
    'a quoted string on a line of its own': `AUTHENTICATE "PLAIN"\r\n"${plain}"`,
    'a literal': `AUTHENTICATE "PLAIN" {${plain.length}+}\r\n${plain}`,
    'a literal without a plus': `AUTHENTICATE "PLAIN" {${plain.length}}\r\n${plain}`,
    'a literal on a line of its own': `AUTHENTICATE "PLAIN"\r\n{${plain.length}+}\r\n${plain}`,
    'a literal as the mechanism': `AUTHENTICATE {5+}\r\nPLAIN "${plain}"`,
    'LOGIN in strings': `AUTHENTICATE "LOGIN"\r\n"${base64('alice')}"\r\n"${base64(SECRET)}"`,
    'LOGIN in literals': `AUTHENTICATE "LOGIN" {8+}\r\n${base64('alice')}\r\n{16+}\r\n${base64(SECRET)}`,
    'an open quote': `AUTHENTICATE "PLAIN" "${plain}`,
    'NOOP with a password': `NOOP "${SECRET}"`,
    'X-PROXY-TTL with a password': `X-PROXY-TTL "${SECRET}"`,
    'a command of a session': `PUTSCRIPT "${SECRET}" "${SECRET}"`,
    'an unknown command': `LOGIN alice ${SECRET}`,
    'XCLIENT with a password': `XCLIENT ADDR=192.0.2.7 LOGIN=${SECRET}`,
  },
}

for (const protocol of ['imap', 'pop3', 'managesieve'] as const) {
  describe(`a trace of an ${protocol} client shows no credential`, () => {
    for (const [form, sent] of Object.entries(CLIENT[protocol])) {
      for (const cut of [WHOLE, BYTE_BY_BYTE]) {
        test(`${form}, ${cut.name}`, async () => {
          const lines = await traceClient(cut, protocol, `${sent}\r\n`)
          assert.ok(
            lines.some((line) => line.startsWith('from-client: ')),
            'the trace has a line of the client',
          )
          assertNoSecret(lines)
          // the same without TLS, where the client is told that it must not
          assertNoSecret(await traceClient(cut, protocol, `${sent}\r\n`, { secure: false }))
        })
      }
    }
  })
}

test('a trace of a client shows commands, mechanisms and users', async () => {
  assert.deepEqual(
    await traceClient(WHOLE, 'imap', `a LOGIN alice ${SECRET}\r\nb LOGOUT\r\n`, {
      greet: true,
      facts: { mechanisms: ['PLAIN'] },
    }),
    [
      'to-client: * OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE AUTH=PLAIN] the banner',
      'from-client: a LOGIN alice [hidden]',
      'to-client: a NO [AUTHENTICATIONFAILED] Authentication failed.',
      'from-client: b LOGOUT',
      'to-client: * BYE Logging out | b OK LOGOUT completed.',
    ],
  )
  assert.deepEqual(await traceClient(WHOLE, 'pop3', `USER alice\r\nPASS ${SECRET}\r\nAUTH PLAIN\r\n${plain}\r\n`), [
    'from-client: USER alice',
    'to-client: +OK Send PASS.',
    'from-client: PASS [hidden]',
    'to-client: -ERR [AUTH] Authentication failed.',
    'from-client: AUTH PLAIN',
    'to-client: + [hidden]',
    'from-client: [hidden]',
    'to-client: -ERR [AUTH] Authentication failed.',
  ])
  assert.deepEqual(await traceClient(WHOLE, 'managesieve', `AUTHENTICATE "PLAIN" "${plain}"\r\nLOGOUT\r\n`), [
    'from-client: AUTHENTICATE "PLAIN" [hidden]',
    'to-client: NO "Authentication failed."',
    'from-client: LOGOUT',
    'to-client: OK "Logout completed."',
  ])
})

type Told = NonNullable<BackendCase['login']>

const RELAYED: Record<string, Told> = {
  XOAUTH2: {
    relayed: { mechanism: 'XOAUTH2', first: `user=alice\x01auth=Bearer ${TOKEN}\x01\x01`, responses: [oauth] },
  },
  OAUTHBEARER: {
    relayed: {
      mechanism: 'OAUTHBEARER',
      first: `n,a=alice,\x01auth=Bearer ${TOKEN}\x01\x01`,
      responses: [base64('\x01')],
    },
  },
  'SCRAM-SHA-256': { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM, responses: [base64(SCRAM_FINAL), ''] } },
  'SCRAM-SHA-1': { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: [base64(SCRAM_FINAL), ''] } },
  'a password': { password: SECRET },
  'a password that needs quotes': { password: `${SECRET} "` },
  'a password that needs a literal': { password: `${SECRET}\xe4` },
  'a password and an identity': { password: SECRET, identity: { id: new Map([['password', SECRET]]) } },
  'a password of a master user': { authcid: 'admin', password: SECRET },
}

const CHALLENGE = base64('r=rOprNGfwEbeRWgbNEkqO,s=QSXCR+Q6sek8bf92,i=4096')

/** What back ends say, as often as they are asked: everything at once, so that each line of a login is answered. */
const BACKEND: Record<'imap' | 'pop3' | 'managesieve', Record<string, string>> = {
  imap: {
    'with SASL-IR': `* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256] hi\r\n+ ${CHALLENGE}\r\n+ ${CHALLENGE}\r\nA OK [CAPABILITY IMAP4rev1] in\r\n`,
    'without SASL-IR': `* OK [CAPABILITY IMAP4rev1 ID AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256] hi\r\n+ \r\n+ ${CHALLENGE}\r\n+ ${CHALLENGE}\r\nA OK [CAPABILITY IMAP4rev1] in\r\n`,
    'with LOGIN': `* OK [CAPABILITY IMAP4rev1] hi\r\n+ go\r\n+ go\r\nA OK [CAPABILITY IMAP4rev1] in\r\n`,
    'with LOGIN and LITERAL+': `* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\nA NO [AUTHENTICATIONFAILED] no\r\n`,
  },
  pop3: {
    'with SASL': `+OK hi\r\n+OK\r\nSASL PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-256\r\nUSER\r\n.\r\n+ \r\n+ ${CHALLENGE}\r\n+ ${CHALLENGE}\r\n+OK in\r\n`,
    'with XCLIENT': `+OK [XCLIENT] hi\r\n+OK\r\nSASL PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-256\r\nUSER\r\n.\r\n+OK\r\n-ERR no\r\n`,
    'with USER': `+OK hi\r\n+OK\r\nUSER\r\n.\r\n+OK\r\n-ERR [AUTH] no\r\n`,
  },
  managesieve: {
    'with SASL': `"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-256"\r\nOK "hi"\r\n"${CHALLENGE}"\r\n{${CHALLENGE.length}}\r\n${CHALLENGE}\r\nOK (SASL "${base64('v=6rriTRBi23WpRR')}") "in"\r\n`,
    'with XCLIENT': `"IMPLEMENTATION" "x"\r\n"XCLIENT" "ADDR"\r\n"SASL" "PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-256"\r\nOK "hi"\r\nOK\r\nNO "no"\r\n`,
  },
}

for (const protocol of ['imap', 'pop3', 'managesieve'] as const) {
  describe(`a trace of a login at an ${protocol} back end shows no credential`, () => {
    for (const [kind, said] of Object.entries(BACKEND[protocol]))
      for (const [form, login] of Object.entries(RELAYED))
        test(`${form}, ${kind}`, async () => {
          const lines: string[] = []
          const { wire, ended } = replayCase(
            WHOLE,
            protocol,
            { login },
            (own: Wire) => new TracedWire(own, sinkTo(lines), 'from-backend', 'to-backend'),
          )
          // Line by line, as a back end does.
          for (const line of said.split(/(?<=\r\n)/)) await wire.send(line)
          await wire.end()
          await ended
          assert.ok(
            lines.some((line) => line.startsWith('from-backend: ')),
            'the trace has a line of the back end',
          )
          assertNoSecret(lines)
          assert.ok(!lines.join('\n').includes(CHALLENGE), 'no challenge')
        })
  })
}
