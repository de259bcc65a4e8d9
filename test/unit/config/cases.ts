/** A table of configurations, each with what must be said about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from './fixture.ts'

export { MAIN, withListener } from './fixture.ts'

/** Without `error` and `warning` nothing at all may be said. */
export type Case = {
  it: string
  main?: string
  routing?: string
  others?: Record<string, string>
  error?: RegExp
  warning?: RegExp
}

export function testCases(cases: readonly Case[]): void {
  for (const { it, main, routing, others, error, warning } of cases) {
    const verdict = error !== undefined ? 'refuses' : warning !== undefined ? 'warns of' : 'takes'
    test(`${verdict} ${it}`, (t) => {
      const { settings, errors, warnings, text } = load(t, {
        ...(main && { main }),
        ...(routing && { routing }),
        ...(others && { others }),
      })
      assert.equal(settings === undefined, error !== undefined, text)
      if (error === undefined) assert.deepEqual(errors, [])
      else
        assert.ok(
          errors.some((one) => error.test(one)),
          text,
        )
      if (warning === undefined && error === undefined) assert.deepEqual(warnings, [])
      else if (warning !== undefined)
        assert.ok(
          warnings.some((one) => warning.test(one)),
          text,
        )
    })
  }
}
