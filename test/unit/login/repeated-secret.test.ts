/** A back end that repeats the command it does not like, as some do, brings no password into a log line or a health report. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byPassword, openSite, startStore } from './login-fixture.ts'

const SECRETS = /secret|AGFsaWNlAHNlY3JldA/ // in clear, and in base64 with the name

for (const [how, answer] of [
  ['in a refusal', (line: string) => `A NO unknown command: ${line}`],
  ['in a refusal, decoded', () => 'A NO wrong password: secret'],
  ['in a temporary failure', (line: string) => `A NO [UNAVAILABLE] ${line}`],
  ['in a goodbye', (line: string) => `* BYE ${line}`],
  ['in place of an answer', (line: string) => line],
] as const) {
  test(`does not log a password that a back end repeats ${how}`, async (t) => {
    const site = openSite(t, await startStore(t, (line, say) => say(answer(line))))
    const outcome = await site.login(site.connect(), byPassword('alice'))
    assert.ok(!outcome.accepted)
    assert.doesNotMatch(JSON.stringify([outcome.detail, site.lines]), SECRETS)
  })
}

test('logs what else a back end says', async (t) => {
  const site = openSite(t, await startStore(t, (_line, say) => say('A NO no such user')))
  const outcome = await site.login(site.connect(), byPassword('alice'))
  assert.ok(!outcome.accepted)
  assert.equal(outcome.detail, 'the back end said NO no such user')
})
