/**
 * What testssl.sh says of the TLS that mailmux speaks: nothing worse than informational, but for what a CA made on the spot lacks.
 * `node test/soak/testssl.ts docs/testssl` writes its reports there as well. A minute of processor time: run it when the code of TLS changes.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { type Mailmux, type MailmuxPorts, startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const DOORS: { report: string; port: keyof MailmuxPorts; startTls: string[] }[] = [
  { report: 'imaps', port: 'imaps', startTls: [] },
  { report: 'imap-starttls', port: 'imap', startTls: ['-t', 'imap'] },
  { report: 'pop3-starttls', port: 'pop3', startTls: ['-t', 'pop3'] },
]

const INNOCENT = new Set(['OK', 'INFO'])

/** Findings that are not about mailmux, and why. */
const EXPECTED = new Map([
  ['cert_revocation', 'the CA of the tests runs no OCSP service and publishes no list'],
  ['engine_problem', 'about the openssl command on this machine'],
  ['RC4', 'the openssl command on this machine is too new to try it; so is the one in Node'],
])

/**
 * Not a finding, but its own race: it has `openssl s_client` close at the end of the handshake, and cannot look further where TLS 1.3's
 * ticket has not come by then. That sessions are resumed is proved in tls.test.ts.
 */
const COULD_NOT_LOOK = 'WARN sessionresumption_ticket: check failed because of connect problem'

/** A loaded machine takes two minutes; more, and it hangs. */
const RUN_MS = 400_000

type Finding = { id: string; severity: string; finding: string }

let scene: Scene
let authority: Authority
let mailmux: Mailmux

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux', { days: 90 }), // less than 60 would be a finding
    backends: { store: { host: '127.0.0.1', imap: await freePort(), pop3: await freePort() } },
    users: { 'alice@example.test': 'store' },
  })
})
after(() => scene.close())

/** Protocols, server defaults, vulnerabilities. @returns what it found, and its report */
async function judge(report: string, port: number, startTls: string[]): Promise<{ findings: Finding[]; text: string }> {
  const jsonFile = join(scene.directory, `${report}.json`)
  const { code, stdout, stderr } = await run(
    'testssl',
    [
      ...['-p', '-S', '-U', '--fast', ...startTls],
      ...['--quiet', '--warnings', 'batch', '--color', '0', '-n', 'none', '--jsonfile', jsonFile],
      ...['--add-ca', authority.caFile, '--ip=127.0.0.1', `mail.example.test:${port}`],
    ],
    { ms: RUN_MS },
  )
  assert.notEqual(code, null, `testssl did not end\n${stdout}${stderr}`)
  return { findings: JSON.parse(await readFile(jsonFile, 'utf8')) as Finding[], text: stdout }
}

/** The report without what differs from run to run and from machine to machine. */
function withoutChance(text: string): string {
  const lines = text
    .replace(/^ {17,}SHA256 [\dA-F]{64}\n/m, '')
    .replace(/^( (?:Serial|Fingerprints|Certificate Validity \(UTC\)) +).*$/gm, '$1(another in each run)')
    .split('\n')
    .filter((line) => !/^ (Start|Done) |^No engine|\/usr\/bin\/openssl/.test(line))
    .map((line) => line.trimEnd())
  return `${lines
    .join('\n')
    .trim()
    .replace(/\n{3,}/g, '\n\n')}\n`
}

describe('testssl.sh finds nothing worse than informational', { concurrency: true }, () => {
  for (const { report, port, startTls } of DOORS)
    test(`at ${report}`, async () => {
      const { findings, text } = await judge(report, mailmux.ports[port], startTls)
      const directory = process.argv[2]
      if (directory !== undefined) await writeFile(join(directory, `${report}.txt`), withoutChance(text))
      assert.ok(
        findings.some(({ id, finding }) => id === 'TLS1_3' && finding.startsWith('offered')),
        text,
      )
      const worse = findings.filter(({ id, severity }) => !INNOCENT.has(severity) && !EXPECTED.has(id))
      const told = worse.map(({ id, severity, finding }) => `${severity} ${id}: ${finding}`)
      assert.deepEqual(
        told.filter((text) => text !== COULD_NOT_LOOK),
        [],
      )
    })
})
