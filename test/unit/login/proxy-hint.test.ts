/** The question about the PROXY header stands in a refusal only where the header can be the cause. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { byPassword, openSite, startStore, type Answer } from './login-fixture.ts'

const WANTS = '(does the back end expect a PROXY header?)'
const WANTS_NONE = '(does the back end expect no PROXY header?)'

const hangUp: Answer = (_, __, socket) => socket.destroy()
const isHeader = (line: string): boolean => line.startsWith('PROXY')

type Case = { sent: 'none' | 'v1'; greeting?: string; answer?: Answer; hint?: string }

const CASES: Record<string, Case> = {
  'a back end that hangs up without a greeting, and gets no header': { sent: 'none', greeting: '', hint: WANTS },
  'a back end that greets, and hangs up at the login': { sent: 'none', answer: hangUp },
  'a back end that greets with BYE': { sent: 'none', greeting: '* BYE full' },
  'a back end that answers commands, and hangs up at the login, with a header': {
    sent: 'v1',
    answer: (line, say, socket) => (isHeader(line) ? undefined : hangUp(line, say, socket)),
  },
  'a back end that takes the header for a command': {
    sent: 'v1',
    answer: (line, say) => say(isHeader(line) ? 'PROXY BAD unknown command' : 'A NO no'),
    hint: WANTS_NONE,
  },
  'a back end that hangs up at the header': { sent: 'v1', answer: hangUp, hint: WANTS_NONE },
}

for (const [what, { sent, greeting, answer, hint }] of Object.entries(CASES)) {
  test(`${hint === undefined ? 'does not ask' : 'asks'} of ${what}`, async (t) => {
    const port = await startStore(t, answer ?? hangUp, greeting)
    const site = openSite(t, port, { proxyProtocol: sent })
    const outcome = await site.login(site.connect(), byPassword('alice'))
    assert.ok(!outcome.accepted)
    const asked = /\(does the back end .*\)/.exec(outcome.detail)?.[0]
    assert.equal(asked, hint, outcome.detail)
  })
}

test('does not ask of a back end that nothing listens at', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const site = openSite(t, port)
  const outcome = await site.login(site.connect(), byPassword('alice'))
  assert.ok(!outcome.accepted)
  assert.doesNotMatch(outcome.detail, /PROXY/)
})
