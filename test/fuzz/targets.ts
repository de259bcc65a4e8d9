/** What is fuzzed, and what must hold of every outcome. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { buildProxyHeader, ProxyHeaderError, readProxyHeader } from '../../src/net/proxy-header.ts'
import { asOctets, octetsOf } from '../../src/octets.ts'
import * as imap from '../../src/protocol/imap/parse.ts'
import * as managesieve from '../../src/protocol/managesieve/parse.ts'
import { ManagesieveWatch } from '../../src/protocol/managesieve/watch.ts'
import * as pop3 from '../../src/protocol/pop3/parse.ts'
import * as reader from '../../src/protocol/reader.ts'
import * as sasl from '../../src/protocol/sasl.ts'
import { ClientHelloError, createClientHelloReader } from '../../src/tls/client-hello.ts'
import type { Target } from './engine.ts'

/** Which of the values are there, as a name: `+-+`. */
function pattern(...values: unknown[]): string {
  return values.map((value) => (value === undefined || value === false ? '-' : '+')).join('')
}

/** Up to about 20 lengths between nothing and all, both ends among them. */
function lengthsUpTo(length: number): number[] {
  const step = Math.max(1, Math.floor(length / 20))
  return [...Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step), Math.max(0, length - 1)]
}

type Refusal = { refused: string }

function orRefusal<T>(parse: () => T, own: abstract new (...args: never[]) => Error): T | Refusal {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof own)) throw error
    return { refused: error.message.replace(/\d+|0x[\da-f]+/g, 'N') }
  }
}

const readHeader = (input: Buffer): ReturnType<typeof readProxyHeader> | Refusal =>
  orRefusal(() => readProxyHeader(input), ProxyHeaderError)

const proxyHeader: Target<ReturnType<typeof readHeader>> = {
  words: [
    ...['PROXY ', 'PROXY UNKNOWN', ' TCP4 ', ' TCP6 ', '\r\n', '192.0.2.1', '::1', '::ffff:192.0.2.1', ' 65535', ' 0'],
    ...['\r\n\r\n\0\r\nQUIT\n', '\x21\x11\0\x0c', '\x21\x21\0\x24', '\x20\0\0\0', '\x01\0\x04imap', '\x02\0\x06a.test'],
    ...[
      '\x03\0\x04\0\0\0\0',
      '\x04\0\0',
      '\x05\0\x02id',
      '\x20\0\x05\x07\0\0\0\0',
      '\x21\0\x07TLSv1.3',
      '\x22\0\x01a',
      '\x23\0\x01c',
    ],
  ],
  parse: readHeader,
  check: (outcome, input) => {
    if (outcome === 'more') {
      assert.ok(input.length < 4096, 'waits for more than 4 KiB')
      if (input[0] === 0x50) assert.ok(input.length < 107, 'waits for a line of more than 107 bytes')
    }
    // Whatever was decided was decided at one byte, and stays so whatever follows it.
    const end = typeof outcome === 'object' && 'length' in outcome ? outcome.length : input.length
    assert.ok(end <= input.length, 'a header longer than the input')
    for (const length of lengthsUpTo(end)) {
      const earlier = readHeader(input.subarray(0, length))
      if (earlier === 'more') continue
      assert.ok(typeof outcome === 'object' && 'refused' in outcome && 'refused' in earlier, 'decided too early')
    }
    if (outcome === 'more') return outcome
    const later = readHeader(Buffer.concat([input, Buffer.from('\r\na1 NOOP\r\n')]))
    if ('refused' in outcome) {
      assert.ok(later !== 'more' && 'refused' in later, 'refused, and then not')
      return outcome.refused
    }
    assert.deepEqual(later, outcome)

    const { version, command, source, destination, ...tlvs } = outcome.header
    for (const endpoint of [source, destination]) {
      if (!endpoint) continue
      assert.notEqual(net.isIP(endpoint.address), 0)
      assert.ok(Number.isInteger(endpoint.port) && endpoint.port >= 0 && endpoint.port <= 65_535)
    }
    assert.equal(source === undefined, destination === undefined)
    if (tlvs.authority !== undefined) assert.match(tlvs.authority, /^[a-z0-9._-]{1,253}$/)
    if (source && destination) {
      // What we were told we can tell, and be understood.
      const rebuilt = readProxyHeader(buildProxyHeader({ version, source, destination, ...tlvs }))
      const isOneFamily = net.isIP(source.address) === net.isIP(destination.address)
      if (version === 2 || isOneFamily) assert.deepEqual(rebuilt !== 'more' && rebuilt.header, outcome.header)
    }
    return `${version} ${command} ${pattern(source, tlvs.alpn, tlvs.authority, tlvs.uniqueId, tlvs.ssl, tlvs.ssl?.verified)}`
  },
}

type ReadHello = ReturnType<typeof createClientHelloReader>

const readHello = (input: Buffer, read = createClientHelloReader()): ReturnType<ReadHello> | Refusal =>
  orRefusal(() => read(input), ClientHelloError)

const clientHello: Target<ReturnType<typeof readHello>> = {
  words: [
    ...[
      '\x16\x03\x01\0',
      '\x16\x03\x03\x02\0\x01\0\x01\xfc\x03\x03',
      '\0\0\0\x0b\0\x09\0\0\x06a.test',
      '\0\x10\0\x07\0\x05\x04imap',
    ],
    ...[
      '\0\0',
      '\0\x10',
      '\x1a\x1a\0\0',
      '\0\x33\0\x02\0\0',
      '\x01\0',
      'mail.example.test',
      '*.test',
      '192.0.2.1',
      '\x14\x03\x03\0\x01\x01',
    ],
  ],
  parse: (input) => readHello(input),
  check: (outcome, input) => {
    if (outcome === 'more') assert.ok(input.length < 16 * 1024, 'waits for more than 16 KiB')
    // In pieces, by one reader that goes on where it stopped.
    const goesOn = createClientHelloReader()
    for (const length of lengthsUpTo(Math.min(input.length, 20_000))) {
      const earlier = readHello(input.subarray(0, length), goesOn)
      assert.deepEqual(kindOf(earlier), kindOf(readHello(input.subarray(0, length))), `in pieces, at ${length}`)
      if (earlier !== 'more') break
    }
    for (const length of lengthsUpTo(Math.min(input.length, 20_000))) {
      const earlier = readHello(input.subarray(0, length))
      if (earlier === 'more') continue
      // What is refused may have been refused before for another reason. The end of a hello is not told: this may be it already.
      if ('refused' in earlier) assert.ok(outcome !== 'more' && 'refused' in outcome, 'refused, and then not')
      else assert.deepEqual(outcome, earlier)
    }
    if (outcome === 'more') return outcome
    if ('refused' in outcome) return outcome.refused
    if (outcome.serverName !== undefined) assert.match(outcome.serverName, /^[a-z0-9._-]{1,253}$/)
    for (const protocol of outcome.alpn) assert.ok(protocol.length > 0 && protocol.length < 256)
    for (const size of [1, 3, 1000]) assert.deepEqual(readHello(inRecordsOf(size, input)), outcome)
    return `read ${pattern(outcome.serverName, outcome.alpn[0], outcome.alpn[1])}`
  },
}

/** A refusal may be given for another reason where more is known at once. */
const kindOf = (outcome: ReturnType<typeof readHello>): unknown =>
  outcome !== 'more' && 'refused' in outcome ? 'refused' : outcome

/** The same message, which is known to be complete and sound, in other records. */
function inRecordsOf(size: number, records: Buffer): Buffer {
  const message: number[] = []
  for (let at = 0, wanted = Infinity; message.length < wanted; at += 5 + records.readUInt16BE(at + 3)) {
    message.push(...records.subarray(at + 5, at + 5 + records.readUInt16BE(at + 3)))
    if (message.length >= 4) wanted = 4 + Buffer.from(message).readUIntBE(1, 3)
  }
  // In records of one byte the heads alone are five times as much: what is long is cut less finely, to stay within 16 KiB.
  const step = Math.max(size, Math.ceil((message.length * 5) / (16 * 1024 - message.length || 1)) + 1)
  const parts: Buffer[] = []
  for (let at = 0; at < message.length; at += step) {
    const part = message.slice(at, at + step)
    parts.push(Buffer.from([22, 3, 3, part.length >> 8, part.length & 0xff, ...part]))
  }
  return Buffer.concat(parts)
}

/** A command as it is collected: a line, and after it by turns a literal and the line's continuation; parted here by LF. */
function piecesOf(text: string): reader.Piece[] {
  return text.split('\n').map((part, index) => (index % 2 === 0 ? { text: part } : { literal: part }))
}

function parseImap(input: Buffer) {
  const text = input.toString('latin1')
  return {
    text,
    start: imap.parseCommandStart(text),
    strings: reader.parseStrings(piecesOf(text)),
    pairs: imap.parseIdPairs(piecesOf(text)),
    marker: reader.parseLiteralMarker(text),
    status: imap.parseStatus(text),
    capability: imap.parseCapabilityLine(text),
    quoted: reader.formatQuoted(text),
  }
}

const imapCommand: Target<ReturnType<typeof parseImap>> = {
  words: [
    ...[
      'a1 ',
      'LOGIN ',
      'AUTHENTICATE PLAIN ',
      'ID ("name" "x")',
      'NIL',
      '"',
      '\\"',
      '\\\\',
      '{3}',
      '{3+}',
      '{9999999999}',
      '\n',
    ],
    ...[
      '* OK ',
      '* BYE ',
      ' NO [',
      '[CAPABILITY ',
      '* CAPABILITY IMAP4rev1',
      '[AUTHENTICATIONFAILED] ',
      '* PREAUTH',
      '+ ',
      ' BAD ',
    ],
  ],
  parse: parseImap,
  check: ({ text, start, strings, pairs, marker, status, capability, quoted }) => {
    if (start.tag !== undefined) {
      assert.match(start.tag, /^[!#$&',\-./0-9:;<=>?@A-Z[\]^_`a-z|~]{1,64}$/, 'a tag that may not be echoed')
      assert.ok(text.startsWith(start.tag))
    }
    assert.ok(text.endsWith(start.rest))
    assert.ok(!start.name.includes(' '))
    if (strings) {
      // The same strings, written as literals and in quotes, are read as the same again.
      const literals = strings.flatMap((literal, index): reader.Piece[] => [
        { text: index === 0 ? '' : ' ' },
        { literal },
      ])
      assert.deepEqual(reader.parseStrings(literals), strings)
      const inQuotes = strings.map((value) => reader.formatQuoted(value))
      if (!inQuotes.includes(undefined)) assert.deepEqual(reader.parseStrings([{ text: inQuotes.join(' ') }]), strings)
    }
    if (quoted !== undefined) {
      assert.deepEqual(reader.parseStrings([{ text: quoted }]), [text])
      assert.match(quoted, /^[\x20-\x7e]*$/)
    }
    if (pairs) {
      assert.ok(pairs.size <= 30)
      for (const [key, value] of pairs) assert.ok(key.length <= 30 && value.length <= 1024)
    }
    if (marker) {
      assert.ok(marker.bytes >= 0) // Infinity for what has too many digits: no limit lets it pass
      assert.match(text.slice(marker.before.length), marker.synchronising ? /^\{\d+\}$/ : /^\{\d+\+\}$/)
      assert.ok(text.startsWith(marker.before))
    }
    if (status) {
      assert.ok(text.startsWith(`${status.tag} `) && !status.tag.includes(' '))
      assert.match(status.type, /^(?:OK|NO|BAD|BYE|PREAUTH)$/)
      assert.doesNotMatch(status.code ?? '', /[\] ]/)
      assert.doesNotMatch(status.codeArguments, /\]/)
      assert.ok(text.includes(status.text))
    }
    return pattern(start.tag, strings, pairs, marker, status, status?.code, capability)
  },
}

function parsePop3(input: Buffer) {
  const text = input.toString('latin1')
  return { text, command: pop3.parseCommand(text), response: pop3.parseResponse(text) }
}

const pop3Lines: Target<ReturnType<typeof parsePop3>> = {
  words: [
    'USER ',
    'PASS ',
    'AUTH PLAIN ',
    'APOP ',
    'XCLIENT ',
    'STLS',
    '+OK',
    '-ERR',
    ' [IN-USE] ',
    '[AUTH]',
    '[SYS/TEMP]',
    ' ',
    '<1@a>',
  ],
  parse: parsePop3,
  check: ({ text, command, response }) => {
    assert.ok(!command.name.includes(' '))
    assert.ok(text.endsWith(command.argument))
    const space = text.indexOf(' ')
    assert.equal(command.argument, space === -1 ? '' : text.slice(space + 1))
    assert.equal(command.name, (space === -1 ? text : text.slice(0, space)).toUpperCase())
    if (response) {
      assert.match(text, response.ok ? /^\+OK/i : /^-ERR/i)
      if (response.code !== undefined) assert.match(response.code, /^[^\] ]+$/)
      assert.ok(text.endsWith(response.text))
      assert.doesNotMatch(response.text, /[\r\n]/)
    }
    const known = ['USER', 'PASS', 'AUTH', 'APOP', 'XCLIENT', 'STLS', 'CAPA', 'QUIT'].includes(command.name)
    return `${known ? command.name : ''} ${pattern(command.argument || undefined, response?.ok, response, response?.code)}`
  },
}

/** What a watch does with the input of one side, in pieces of so many octets. */
function follow(side: 'fromClient' | 'fromBackend', input: Buffer, size: number): string {
  const watch = new ManagesieveWatch()
  let passed = ''
  for (let at = 0; at < input.length; at += size) {
    const result = watch[side](input.subarray(at, at + size), (piece) => (passed += piece.toString('latin1')))
    // What came before the end may have been passed on or not, as the cut was.
    if (result === false || typeof result === 'string') return 'ended'
  }
  return `${watch.isIdle()} ${passed}`
}

function parseManagesieve(input: Buffer) {
  const text = input.toString('latin1')
  const tokens = managesieve.tokenize(text)
  return { input, text, tokens, response: tokens && managesieve.parseResponse(tokens) }
}

const managesieveLines: Target<ReturnType<typeof parseManagesieve>> = {
  words: [
    ...['AUTHENTICATE "PLAIN" ', 'NOOP ', '{3+}', '{3}', '{03}', '{9999999999}', '"', '\\"', '\\\\', '(', ')', '\r\n'],
    ...['OK ', 'NO (', 'BYE (REFERRAL "', '(TRYLATER) ', '"SASL" "PLAIN"', 'UNAUTHENTICATE', 'STARTTLS'],
  ],
  parse: parseManagesieve,
  check: ({ input, text, tokens, response }) => {
    for (const { kind, text } of tokens ?? []) {
      if (kind !== 'string') assert.match(text, /^[^\s"{}\\\0]+$/)
    }
    const strings = (tokens ?? []).flatMap(({ kind, text }) => (kind === 'string' ? [text] : []))
    const written = strings.map(managesieve.formatString)
    if (written.every((one) => one.startsWith('"'))) {
      assert.deepEqual(
        managesieve.tokenize(written.join(' '))?.map(({ text }) => text),
        strings,
      )
    }
    assert.match(managesieve.formatString(text), /^(?:"[^\r\n]*"|\{\d+\}\r\n[^]*)$/)
    if (response && response.type !== 'data') {
      assert.match(text, new RegExp(`^ *${response.type}`, 'i'))
      if (response.code !== undefined) assert.notEqual(response.code, '')
    }
    for (const side of ['fromClient', 'fromBackend'] as const) {
      const whole = follow(side, input, input.length || 1)
      if (input.length < 2000) assert.equal(follow(side, input, 1), whole, side)
    }
    return pattern(
      tokens,
      strings[0],
      response,
      response?.type === 'data',
      response && 'code' in response && response.code,
    )
  },
}

function parseSasl(input: Buffer) {
  const octets = octetsOf(input)
  return {
    octets,
    decoded: sasl.decodeBase64(octets),
    plain: sasl.decodePlain(octets),
    bearers: [sasl.decodeXoauth2(octets), sasl.decodeOauthBearer(octets), sasl.decodeScram(octets)] as const,
  }
}

const saslMessages: Target<ReturnType<typeof parseSasl>> = {
  words: [
    ...[
      '\0',
      'alice',
      '\x01',
      'user=',
      'auth=Bearer ',
      '\x01\x01',
      'n,a=',
      'n,,',
      'y,,',
      'n=',
      ',r=',
      '=2C',
      '=3D',
      ',',
      '=',
    ],
    ...['YWxpY2U=', 'AGEAYg==', '====', 'p=tls-unique,,', ',m=x', '*'],
  ],
  parse: parseSasl,
  check: ({ octets, decoded, plain, bearers }) => {
    assert.equal(sasl.decodeBase64(sasl.encodeBase64(octets)), octets)
    if (decoded !== undefined) {
      assert.equal(decoded.length, (octets.length / 4) * 3 - (/=*$/.exec(octets)?.[0].length ?? 0))
      assert.equal(sasl.decodeBase64(sasl.encodeBase64(decoded)), decoded)
    }
    if (typeof plain === 'object') {
      assert.ok(plain.credentials.kind === 'password' && plain.user !== '')
      const { user, credentials } = plain
      for (const text of [user, credentials.authcid, credentials.password.reveal()]) {
        assert.ok(!sasl.hasControlCharacter(text), 'a control character in a credential')
      }
      const again = sasl.decodePlain(sasl.decodeBase64(sasl.encodePlain(user, credentials)) ?? asOctets(''))
      assert.ok(typeof again === 'object' && again.credentials.kind === 'password')
      assert.deepEqual([again.user, again.credentials.authcid], [user, credentials.authcid])
      assert.equal(again.credentials.password.reveal(), credentials.password.reveal())
    }
    for (const [index, decode] of [sasl.decodeXoauth2, sasl.decodeOauthBearer, sasl.decodeScram].entries()) {
      const message = bearers[index]
      if (!message) continue
      assert.notEqual(message.user, undefined)
      const rewritten = message.rewrite(message.user)
      // Rewritten for the same user it says the same; for another user it names that one, or is not rewritten at all.
      assert.ok(rewritten !== undefined)
      assert.equal(decode(rewritten)?.user, message.user)
      const other = message.rewrite(asOctets('bob@example.test'))
      if (other !== undefined) assert.equal(decode(other)?.user.toLowerCase(), 'bob@example.test')
    }
    // Few inputs are messages: what stands in them leads on to those.
    const signs = ['\x01', '=2C', ',r='].map((sign) => (octets.includes(sign) ? sign : undefined))
    const hasAuthzid = typeof plain === 'object' && plain.user !== octets.split('\0')[1]
    return pattern(decoded, plain === 'malformed' ? undefined : plain, ...signs, hasAuthzid, ...bearers)
  },
}

export const TARGETS: Readonly<Record<string, Target>> = {
  'proxy-header': proxyHeader,
  'client-hello': clientHello,
  'imap-command': imapCommand,
  managesieve: managesieveLines,
  pop3: pop3Lines,
  sasl: saslMessages,
}
