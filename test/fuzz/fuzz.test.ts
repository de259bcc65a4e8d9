import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { run } from '../support/run.ts'
import { fuzz, type Target } from './engine.ts'
import { TARGETS } from './targets.ts'

/** FUZZ_SECONDS=20 is what `make test` takes; the default is for frequent runs. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 3)

/** All at once: a sixth target after the others would take its time again. */
const NAMES = Object.keys(TARGETS)

describe('fuzzing', { concurrency: NAMES.length * 2 }, () => {
  for (const name of NAMES) {
    test(`${name} for ${SECONDS} s breaks no promise`, async (t) => {
      const script = join(import.meta.dirname, 'fuzz.ts')
      const { code, stdout, stderr } = await run(process.execPath, [script, name, String(SECONDS)], {
        ms: SECONDS * 1000 + 30_000,
      })
      t.diagnostic(stdout.trim().split('\n')[0] ?? '')
      assert.equal(code, 0, `${stdout}${stderr}`)
    })

    test(`${name} begins from a corpus of its own, small enough for git`, () => {
      const files = readdirSync(join(import.meta.dirname, 'corpus', name))
      assert.ok(files.length >= 5 && files.length <= 200, `${files.length} files`)
    })
  }
})

describe('the fuzzer', () => {
  const target = (parse: (text: string) => unknown, check: (outcome: unknown) => string = String): Target => ({
    words: ['fish'],
    parse: (input) => parse(input.toString('latin1')),
    check,
  })
  const options = { corpus: [Buffer.from('corpus')], ms: 5000, seed: 1 }

  test('finds what a parser throws, and says with which input', () => {
    const broken = target((text) => {
      if (text.includes('{')) throw new TypeError('a brace')
    })
    const { failure } = fuzz(broken, options)
    assert.ok(failure?.error instanceof TypeError)
    assert.match(failure.input.toString('latin1'), /\{/)
  })

  test('finds its way step by step to what no single change reaches', () => {
    const steps = (text: string): number =>
      ['1', '1fish', '1fish2', '1fish2fish', '1fish2fish3'].filter((step) => text.includes(step)).length
    const { failure } = fuzz(
      target((text) => {
        if (steps(text) === 5) throw new Error('there')
        return steps(text)
      }),
      { ...options, ms: 20_000 },
    )
    assert.match(String(failure?.error), /there/)
  })

  test('finds a parser that takes too long', () => {
    const slow = target((text) => /^(?:a+)+$/.test('a'.repeat(Math.min(text.length, 27)) + '!'))
    const { failure } = fuzz(slow, { ...options, maxParseMs: 20 })
    assert.match(String(failure?.error), /took/)
  })

  test('finds a broken promise in the corpus before it changes anything', () => {
    const liar = target(
      () => 'x',
      () => assert.fail('never true'),
    )
    const { failure, inputs } = fuzz(liar, options)
    assert.equal(inputs, 1)
    assert.equal(failure?.input.toString(), 'corpus')
  })

  test('tries the same inputs with the same seed, and has nothing to say of a sound parser', () => {
    const seen: string[][] = [[], []]
    for (const inputs of seen) {
      const { failure } = fuzz(
        target((text) => inputs.push(text) && 'same'),
        { ...options, ms: 200 },
      )
      assert.equal(failure, undefined)
    }
    const length = Math.min(...seen.map((inputs) => inputs.length))
    assert.ok(length > 100)
    assert.deepEqual(seen[0]?.slice(0, length), seen[1]?.slice(0, length))
    assert.ok(new Set(seen[0]).size > length / 4)
  })
})
