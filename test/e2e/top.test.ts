/** `mailmux top` in a real terminal (tmux): its frames, its keys, its end, and the terminal afterwards. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { openMailClient } from '../support/mail-client.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, startSite, type Site } from '../support/site.ts'

let site: Site
let socket: string

before(async () => {
  site = await startSite({ mailmux: { adminToken: 'e2e-token' } })
  socket = join(site.scene.directory, 'tmux')
  await tmux('-f', '/dev/null', 'new-session', '-d', '-s', 'top', '-x', '110', '-y', '24', 'sh')
  site.scene.closeLater(async () => {
    await tmux('kill-server')
  })
})
after(() => site.close())

async function tmux(...args: string[]): Promise<string> {
  const { stdout } = await run('tmux', ['-S', socket, ...args], { ms: START_DEADLINE_MS })
  return stdout
}

const type = (...keys: string[]): Promise<string> => tmux('send-keys', '-t', 'top', ...keys)
const shown = (): Promise<string> => tmux('capture-pane', '-t', 'top', '-p')

/** @returns the screen once it matches */
async function shows(wanted: RegExp): Promise<string> {
  let last = ''
  return until(
    START_DEADLINE_MS,
    async () => {
      last = await shown()
      return wanted.test(last) ? last : undefined
    },
    () => `the terminal does not show ${String(wanted)}:\n${last}`,
  )
}

test('shows sessions and logins as they change, obeys keys, follows the size, and leaves the terminal as it was', async () => {
  await type('echo be""fore', 'Enter')
  await shows(/^before$/m)
  await type(`${MAILMUX_RUNTIME} ${MAIN} top -c ${site.mailmux.configFile}; echo ended with $?`, 'Enter')
  await shows(/^mailmux top .*\n^logins\/s 0\.0 accepted/m)
  const clients = await Promise.all(
    ['alice@example.test', 'bob@example.test'].map(async (user) => {
      const client = await openMailClient(site.scene, 'imap', site.mailmux.ports.imap, 'starttls', site.tls)
      assert.ok((await client.login(user, PASSWORD)).accepted)
      return client
    }),
  )
  await shows(/^sessions 2 /m)
  await type('?')
  await shows(/^Keys$/m)
  await type('?')
  await type('/')
  await type('store1')
  const filtered = await shows(/^filter: store1_/m)
  assert.match(filtered, /^store1 /m)
  await type('Enter')
  await shows(/^\? help {2}s sort: sessions {2}\/ filter: store1/m)
  assert.doesNotMatch(await shown(), /^store2 /m)
  await type('s')
  await shows(/s sort: logins/)
  await tmux('resize-window', '-t', 'top', '-x', '40', '-y', '6')
  await until(
    READ_DEADLINE_MS,
    async () => {
      const lines = (await shown()).split('\n').filter((line) => line !== '')
      return (
        (lines.length <= 6 && lines.every((line) => line.length <= 40) && /\? help/.test(lines.join('\n'))) || undefined
      )
    },
    () => 'the frame does not fit into the smaller terminal',
  )
  await tmux('resize-window', '-t', 'top', '-x', '110', '-y', '24')
  await type('q')
  const left = await shows(/ended with 0/)
  assert.match(left, /^before$/m, 'what was there before is there again')
  await type('stty -a', 'Enter')
  await shows(/ icanon .* echo /s)
  assert.equal((await tmux('display-message', '-t', 'top', '-p', '#{alternate_on} #{cursor_flag}')).trim(), '0 1')
  for (const client of clients) await client.quit()
})

test('leaves the terminal as it was at Ctrl-C, and says so while mailmux does not answer', async () => {
  await type('clear', 'Enter')
  await type(`${MAILMUX_RUNTIME} ${MAIN} top -c ${site.mailmux.configFile}; echo ended with $?`, 'Enter')
  await shows(/^logins\/s/m)
  await type('C-c')
  await shows(/ended with 0/)
  assert.equal((await tmux('display-message', '-t', 'top', '-p', '#{alternate_on} #{cursor_flag}')).trim(), '0 1')
  await type('clear', 'Enter')
  await type(`${MAILMUX_RUNTIME} ${MAIN} top -c ${site.mailmux.configFile}; echo ended with $?`, 'Enter')
  await shows(/^logins\/s/m)
  await site.mailmux.stop()
  await shows(/^mailmux top .*OLD: no program listens/m)
  await type('q')
  await shows(/ended with 0/)
})

test('without a mailmux there is one line and an exit code of its own', async () => {
  const { code, stdout, stderr } = await run(MAILMUX_RUNTIME, [MAIN, 'top', '-c', site.mailmux.configFile], {
    ms: START_DEADLINE_MS,
  })
  assert.equal(code, 69)
  assert.equal(stdout, '')
  assert.match(stderr, /^mailmux top: [^\n]*\n$/)
})
