/** The messages about lines of a file of routes that cannot be imported. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { BackendSettings, RoutingSettings } from '../../../src/config/settings.ts'
import type { FormatName } from '../../../src/routes/formats/format.ts'
import { checkFile } from '../../../src/routes/import/check.ts'
import { temporaryDirectory } from '../config/fixture.ts'

const routing = {
  userCase: 'keep',
  aliases: new Map(),
  backends: new Map([
    ['store1', { name: 'store1', hosts: ['10.0.0.11'], ports: { imap: 143 } } as unknown as BackendSettings],
  ]),
} as unknown as RoutingSettings

async function check(t: TestContext, format: FormatName, text: string): Promise<{ good: string[]; wrong: string[] }> {
  const file = path.join(temporaryDirectory(t), 'routes')
  fs.writeFileSync(file, text)
  const [good, wrong]: [string[], string[]] = [[], []]
  for await (const checked of checkFile({ file, format, routing })) {
    good.push(...checked.good.map(({ line, user }) => `${line}: ${user}`))
    wrong.push(...checked.wrong.map(({ line, why }) => `${line}: ${why}`))
  }
  return { good, wrong }
}

const KIB = 1024
const WHY = 'longer than 64 KiB, and not read'

describe('a line of more than 64 KiB', () => {
  for (const [where, length] of [
    ['within a block', 65 * KIB],
    ['over several blocks', 1024 * KIB],
    ['whose rest alone would be a route', 256 * KIB - 20],
  ] as const)
    for (const format of ['csv', 'jsonl', 'dovecot', 'nginx'] as const)
      test(`${where} is a mistake with its number in ${format}, and the lines around it are read`, async (t) => {
        const route = (user: string): string =>
          ({
            csv: `${user},store1`,
            jsonl: JSON.stringify({ user, backend: 'store1' }),
            dovecot: `${user}:::::::host=10.0.0.11`,
            nginx: `${user} store1;`,
          })[format]
        const long = `${'x'.repeat(length)}${format === 'nginx' ? ' ' : ','}${route('eve@x')}`
        const { good, wrong } = await check(
          t,
          format,
          [route('ann@x'), long, route('bob@x'), 'y'.repeat(65 * KIB)].join('\n'),
        )
        assert.deepEqual(good, ['1: ann@x', '3: bob@x'])
        assert.deepEqual(wrong, [`2: ${WHY}`, `4: ${WHY}`])
      })

  test('is none with 64 KiB, however the blocks fall', async (t) => {
    const line = `# ${'x'.repeat(64 * KIB - 2)}`
    const { good, wrong } = await check(t, 'csv', `${`${line}\n`.repeat(9)}ann@x,store1\r\n`)
    assert.deepEqual({ good, wrong }, { good: ['10: ann@x'], wrong: [] })
  })
})

describe('a mistake shows no field that can hold a password', () => {
  const PASSWORD = 'Hunter2'
  const HASH = `{SHA512-CRYPT}$6$${PASSWORD}`
  for (const [format, line] of [
    ['csv', `ann@x:${HASH}:1000:1000:Ann, Room 5:/home/ann::host=10.0.0.11`],
    ['csv', `ann@x:${HASH}::::::proxy=y host=10.0.0.11`],
    ['csv', `ann@x:${PASSWORD}::::Ann,b,c:/home/ann::`],
    ['csv', `ann@x,${PASSWORD}`],
    ['csv', `ann@x;${HASH};store1`],
    ['csv', `ann@x,store1,${PASSWORD} x`],
    ['csv', `ann@x,store1,ann,${PASSWORD}`],
    ['csv', `ann@x ${PASSWORD} store1`],
    ['csv', `ann@x|${PASSWORD}|store1`],
    ['csv', `user,backend\nann@x:${HASH}:1000:1000:Ann, Room 5:/home/ann::host=10.0.0.11`],
    ['csv', `user,backend\nann@x:${PASSWORD},`],
    ['dovecot', `ann@x,${PASSWORD}:store1`],
    ['dovecot', `ann@x ${PASSWORD}:x::::::host=10.0.0.12`],
    ['nginx', `"ann@x:${HASH}" store2;`],
    ['nginx', `ann@x:${PASSWORD} $store;`],
    ['jsonl', JSON.stringify({ user: `ann@x:${HASH}`, backend: 'store2' })],
    ['jsonl', JSON.stringify({ user: 'ann@x', backend: 'store1', password: HASH })],
  ] as const)
    test(`${format} ${line}`, async (t) => {
      const { good, wrong } = await check(t, format, line)
      assert.deepEqual(good, [])
      assert.equal(wrong.length, 1)
      assert.doesNotMatch(wrong.join(), /Hunter2|SHA512|\$6/i)
    })

  test('and shows what the file names', async (t) => {
    const { wrong } = await check(t, 'csv', 'user,backend,login\nann@x,store9,\nann@x,store1,a b')
    assert.deepEqual(wrong, [
      '2: "ann@x": "store9" is no back end of the routing file, neither by name nor by host',
      '3: "ann@x": the login "a b" has a character that no name may have',
    ])
  })
})
