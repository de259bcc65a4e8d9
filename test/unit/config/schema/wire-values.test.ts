import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { PROTOCOL_SPECS } from '../../../../src/protocol/registry.ts'
import type { Parsed } from '../../../../src/config/schema/values.ts'
import {
  parseCapability as parseWords,
  parseCiphers,
  parseClientUser,
  parseDelimiters,
  parseLoginFormat,
  parseNetwork,
  parsePin,
  parseSeparator,
  parseServerName,
  parseServerPattern,
} from '../../../../src/config/schema/wire-values.ts'

const parseCapability = (text: string) => parseWords(text, PROTOCOL_SPECS.imap.capability)

type Parse = (text: string) => Parsed<string>

function takes(parse: Parse, good: Record<string, string>): void {
  for (const [text, value] of Object.entries(good)) assert.deepEqual(parse(text), { value }, text)
}

function refuses(parse: Parse, bad: readonly string[], wrong = /./u): void {
  for (const text of bad) {
    const parsed = parse(text)
    assert.ok('wrong' in parsed && wrong.test(parsed.wrong), `${JSON.stringify(text)}: ${JSON.stringify(parsed)}`)
  }
}

test('a server name is a DNS name without its last dot, in lower case', () => {
  takes(parseServerName, { 'imap.a.test': 'imap.a.test', 'IMAP.A.Test': 'imap.a.test', localhost: 'localhost' })
  refuses(parseServerName, ['', 'a..b', '*.a.test', 'a.test.', 'a b', 'a.test:993', '-a.test', 'caf\u00e9.test'])
  refuses(parseServerName, ['192.0.2.1', '::1'], /RFC 6066/u)
})

test('a rule is for a name, for one label more, or for all others', () => {
  takes(parseServerPattern, { 'A.test': 'a.test', '*.B.test': '*.b.test', '*': '*' })
  refuses(parseServerPattern, ['**', '*.*', '*a.test', 'a.*', '*.', '*.192.0.2.1', '.test'])
})

test('a network has a prefix within its family and no bit beyond it', () => {
  takes(parseNetwork, {
    '10.0.0.0/8': '10.0.0.0/8',
    '192.0.2.1': '192.0.2.1/32',
    '0.0.0.0/0': '0.0.0.0/0',
    '10.128.0.0/9': '10.128.0.0/9',
    '255.255.255.254/31': '255.255.255.254/31',
    '2001:DB8::/32': '2001:db8::/32',
    '2001:db8:0:0::1': '2001:db8::1/128',
    '::/0': '::/0',
    'fe80::/10': 'fe80::/10',
    '64:ff9b::192.0.2.0/120': '64:ff9b::c000:200/120',
  })
  refuses(parseNetwork, ['', '10/8', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/8.0'])
  refuses(parseNetwork, ['010.0.0.1', 'host', '[::1]', 'fe80::1%eth0', ' 10.0.0.1', '10.0.0.0 /8', '::1/', '/8'])
  refuses(parseNetwork, ['10.0.0.0/33', '::/129', '10.0.0.0/999'], /at most/u)
  refuses(parseNetwork, ['10.1.2.3/8'], /the network is 10\.0\.0\.0\/8/u)
  refuses(parseNetwork, ['10.192.0.0/9'], /the network is 10\.128\.0\.0\/9/u)
  refuses(parseNetwork, ['2001:db8::1/32'], /the network is 2001:db8::\/32/u)
  refuses(parseNetwork, ['::ffff:10.0.0.1', '::ffff:a00:1/128'], /without ::ffff:/u)
})

test('whatever network is taken or proposed, node:net takes it, and it holds the address', () => {
  const v6 = fc.array(fc.nat({ max: 0xffff }), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        v6.map((groups) => groups.map((g) => g.toString(16)).join(':')),
      ),
      fc.nat(128),
      (address, bits) => {
        const family = net.isIPv4(address) ? 'ipv4' : 'ipv6'
        const prefix = family === 'ipv4' ? bits % 33 : bits
        const parsed = parseNetwork(`${address}/${prefix}`)
        const shown = 'value' in parsed ? parsed.value : (/the network is (\S+)$/u.exec(parsed.wrong)?.[1] ?? '')
        const [network = '', length = ''] = shown.split('/')
        const list = new net.BlockList()
        list.addSubnet(network, Number(length), family)
        assert.ok(list.check(address, family), shown)
        // And it is taken as it is proposed.
        assert.deepEqual(parseNetwork(shown), { value: shown })
      },
    ),
  )
})

test('capabilities are atoms, IMAP4rev1 among them, and none of those that mailmux answers for', () => {
  takes(parseCapability, {
    'IMAP4rev1 IDLE': 'IMAP4rev1 IDLE',
    '  IMAP4rev1   UTF8=ACCEPT LITERAL+ ': 'IMAP4rev1 UTF8=ACCEPT LITERAL+',
    imap4REV1: 'imap4REV1',
  })
  refuses(parseCapability, ['', 'IDLE', 'IMAP4rev2', 'IMAP4rev10'], /IMAP4rev1 must be among them/u)
  refuses(parseCapability, ['STARTTLS', 'LoginDisabled', 'auth=plain', 'AUTH='], /added by mailmux/u)
  refuses(parseCapability, ['UNAUTHENTICATE', 'login-referrals', 'MAILBOX-REFERRALS'], /past mailmux/u)
  refuses(parseCapability, ['IMAP4rev1 IDLE idle'], /twice/u)
  for (const special of '(){%*"\\]\t\r\n\0\u007f\u00e9')
    refuses(parseCapability, [`IMAP4rev1 X${special}Y`], /breaks the line/u)
})

test('ciphers are those that OpenSSL supports for TLS 1.2', () => {
  for (const good of ['HIGH', 'HIGH:!aNULL', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'kEECDH+AESGCM', 'DEFAULT@SECLEVEL=2']) {
    takes(parseCiphers, { [good]: good })
  }
  refuses(parseCiphers, ['', ':', 'HIGH:', 'HIGH:FOO', 'FOO:HIGH', 'high', 'HIGH AES', 'HIGH,AES'], /knows no cipher/u)
  refuses(parseCiphers, ['!aNULL', 'HIGH:!ALL', 'HIGH:@SECLEVEL=9'], /finds no cipher/u)
  refuses(parseCiphers, ['TLS_AES_128_GCM_SHA256', 'HIGH:TLS_X'], /of TLS 1\.3/u)
})

test('delimiters are up to four characters of a few, with @', () => {
  takes(parseDelimiters, { '@': '@', '@%+': '@%+', '%@': '%@', '@!#/': '@!#/', '@\\ ': '@\\ ' })
  refuses(parseDelimiters, ['', '@@', '@.', '@-', '@%+!#', 'a@', '@\t'], /one to four/u)
  refuses(parseDelimiters, ['%', '%+!#'], /@ must be among/u)
})

test('a pin is 64 hexadecimal digits, with every colon or none', () => {
  const bytes = Array.from({ length: 32 }, (_, i) => (i * 7).toString(16).padStart(2, '0').slice(-2))
  const plain = bytes.join('').toUpperCase()
  takes(parsePin, { [plain]: plain, [plain.toLowerCase()]: plain, [bytes.join(':')]: plain })
  refuses(parsePin, ['', plain.slice(2), `${plain}00`, `${plain.slice(1)}g`, `sha256:${plain}`, bytes.join(' ')])
  refuses(parsePin, [`${bytes.slice(0, 31).join(':')}${bytes[31]}`, `${bytes.join(':')}:`])
})

test('the user of a certificate is made of its name or its address', () => {
  for (const good of ['%{cn}', '%{email}', '%{cn}@a.test', 'x-%{cn}-%{email}']) takes(parseClientUser, { [good]: good })
  refuses(parseClientUser, ['', 'alice'], /all would be the same user/u)
  refuses(parseClientUser, ['%u', '%{cn', '%{CN}', '%{cn}%', '%%{cn}', '%{cn}%{ou}', '%{}'], /is no placeholder/u)
  refuses(parseClientUser, ['%{cn}\n'], /control characters/u)
})

test('the login at a back end is made of the user', () => {
  for (const good of ['%u', '%n', '%n@x.test', '%d/%n', '%%%u']) takes(parseLoginFormat, { [good]: good })
  refuses(parseLoginFormat, ['', 'x', '%d', '%%u', '%%'], /the same mailbox/u)
  refuses(parseLoginFormat, ['%U', '%u%', '%u%x', '%{u}'], /is no placeholder/u)
  refuses(parseLoginFormat, ['%u\0'], /control characters/u)
})

test('a separator is one character that no user name has', () => {
  for (const good of '*%/:;|,<>') takes(parseSeparator, { [good]: good })
  refuses(parseSeparator, ['', '**', ' ', '\t', 'a', '7', '\u00e9'])
  for (const inNames of '@._-+=&\'~#!$"\\') refuses(parseSeparator, [inNames])
})
