/** Which failures ask an operator about the PROXY header: a table of code, header, connection and lines heard. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { withProxyHint } from '../../../src/login/proxy-hint.ts'

const WANTS = 'why (does the back end expect a PROXY header?)'
const WANTS_NONE = 'why (does the back end expect no PROXY header?)'

// What a back end does that waits for a header, or takes one for commands; and what neither explains.
const SILENT = ['backend-timeout', 'backend-closed', 'backend-tls-failed'] as const
const PUZZLED = ['backend-garbage', 'backend-bye'] as const
const OTHER = ['backend-refused', 'backend-unavailable', 'backend-certificate'] as const

function messageOf(code: ErrorCode, sent: 'none' | 'v1' | 'v2', heard: number, connected = true): string {
  const error = withProxyHint(new MuxError(code, 'why'), sent, { connected, heard })
  assert.ok(error instanceof MuxError && error.code === code)
  return error.message
}

test('asks whether a header is expected where the back end is silent from the beginning', () => {
  for (const code of SILENT) {
    assert.equal(messageOf(code, 'none', 0), WANTS, code)
    assert.equal(messageOf(code, 'none', 1), 'why', `${code} behind a greeting`)
  }
  for (const code of [...PUZZLED, ...OTHER]) assert.equal(messageOf(code, 'none', 0), 'why', code)
})

test('asks whether no header is expected where the back end answers it, or breaks off behind it', () => {
  for (const sent of ['v1', 'v2'] as const) {
    for (const code of SILENT)
      assert.deepEqual(
        [0, 1, 2].map((heard) => messageOf(code, sent, heard)),
        [WANTS_NONE, WANTS_NONE, 'why'],
        code,
      )
    for (const code of PUZZLED) assert.equal(messageOf(code, sent, 9), WANTS_NONE, code)
    for (const code of OTHER) assert.equal(messageOf(code, sent, 0), 'why', code)
  }
})

test('asks nothing where there was no connection, or the failure is a defect', () => {
  for (const code of [...SILENT, ...PUZZLED])
    for (const sent of ['none', 'v1'] as const) assert.equal(messageOf(code, sent, 0, false), 'why')
  for (const error of [new Error('defect'), undefined, Object.assign(new Error('x'), { code: 'backend-timeout' })])
    for (const sent of ['none', 'v1'] as const)
      assert.equal(withProxyHint(error, sent, { connected: true, heard: 0 }), error)
})
