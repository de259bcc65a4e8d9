/** RFC 2971 3.3 allows an ID of 30 pairs, with keys of 30 and values of 1,024 octets: about 31 KiB. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WHOLE, type Cut } from '../support/splits.ts'
import { protocols, playClient, alice, replayCase, type ClientCase, type Told } from './play.ts'

/** 64 KiB octet by octet take seconds. */
const IN_PACKETS: Cut = { name: 'in packets', split: (octets) => octets.match(/[^]{1,1460}/g) ?? [] }

function testLong(name: string, wanted: ClientCase): void {
  for (const cut of [WHOLE, IN_PACKETS]) test(`${name}, ${cut.name}`, () => playClient(cut, protocols.imap, wanted))
}

const keys = Array.from({ length: 30 }, (_, index) => `${index}`.padStart(30, 'k'))
const VALUE = 'v'.repeat(1024)
const told: Told[] = [{ id: Object.fromEntries(keys.map((key) => [key, VALUE])), ttl: undefined }]
const ANSWER = `
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: a LOGIN alice secret
    S: a NO [AUTHENTICATIONFAILED] Authentication failed.`
const quotedPairs = (from: readonly string[]): string => from.map((key) => `"${key}" "${VALUE}"`).join(' ')
const rest = { attempts: [alice('LOGIN')], told }

testLong('takes the longest ID in quoted strings on one line', {
  ...rest,
  script: `
    C: i ID (${quotedPairs(keys)})${ANSWER}`,
})

testLong('takes the longest ID with every octet escaped', {
  attempts: [alice('LOGIN')],
  script: `
    C: i ID (${keys.map(() => `"${'\\"'.repeat(30)}" "${'\\"'.repeat(1024)}"`).join(' ')})${ANSWER}`,
})

for (const plus of ['', '+'])
  testLong(`takes the longest ID in literals {n${plus}}`, {
    ...rest,
    script: `
      C: i ID (${keys
        .flatMap((key) => [key, VALUE])
        .map((text) => `{${text.length}${plus}}${plus === '' ? '\n      S: + OK' : ''}\n      C: ${text} `)
        .join('')})${ANSWER}`.replaceAll(/(?<=k|v) (?=\{|\))/g, ' '),
  })

testLong('takes the longest ID with a literal at its beginning and quoted strings behind it', {
  ...rest,
  script: `
    C: i ID ({30+}
    C: ${keys[0]} "${VALUE}" ${quotedPairs(keys.slice(1))})${ANSWER}`,
})

testLong('refuses an ID with more pairs, and keeps nothing of it', {
  script: `
    C: i ID (${quotedPairs([...keys, 'one-more'])})
    S: i NO ID takes NIL or a list of pairs
    C: a LOGIN alice secret
    S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
  attempts: [alice('LOGIN')],
  told: [{ id: {}, ttl: undefined }],
})

testLong('ends at an ID line beyond all measure', {
  script: `C: i ID ("name" "${'v'.repeat(64 * 1024)}")`,
  ending: 'client-line-too-long',
})

testLong('ends at a line beyond all measure behind a literal', {
  script: `
    C: i ID ({4+}
    C: name "${'v'.repeat(64 * 1024)}")`,
  ending: 'client-line-too-long',
})

testLong('gives no other command the room of an ID', {
  script: `C: i IDLE ${'x'.repeat(9000)}`,
  ending: 'client-line-too-long',
})

// Dovecot reads 8 KiB of a line before login; a longer one would cost the user the login.
test('sends the back end no more of a long ID than servers read in one line', async () => {
  const id = new Map(keys.map((key) => [key, VALUE]))
  const { wire, ended } = replayCase(WHOLE, 'imap', { login: { identity: { id } } })
  await wire.send('* OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready\r\n')
  await wire.expect(/^I ID \(.{3000,4090}\)$/)
  for (const key of keys.slice(0, 3)) assert.ok(wire.written.includes(`"${key}" "${VALUE}"`), key)
  await wire.send('* BYE\r\n')
  assert.equal(await ended, 'backend-bye')
})
