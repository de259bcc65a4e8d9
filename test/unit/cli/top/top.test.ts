/** `mailmux top`: what it makes of two readings of the metrics, how it shows that, and what keys do. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { Command, Option } from 'commander'
import { buildFrame } from '../../../../src/cli/top/frame.ts'
import { parseSamples } from '../../../../src/cli/top/samples.ts'
import { addTopCommand } from '../../../../src/cli/top/top.ts'
import { openScreen, type Keys, type Output } from '../../../../src/cli/top/screen.ts'
import { FIRST_VIEW, pressKey, renderFrame, renderView, type ViewState } from '../../../../src/cli/top/view.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { openAdminPort } from '../admin-port.ts'

/** @param n how far the counters are */
function metrics(n: number, hostile = 'store3'): string {
  return `# HELP mailmux_logins_total login attempts
# TYPE mailmux_logins_total counter
mailmux_logins_total{protocol="imap",mechanism="PLAIN",outcome="accepted"} ${100 * n}
mailmux_logins_total{protocol="pop3",mechanism="USER",outcome="accepted"} ${20 * n}
mailmux_logins_total{protocol="imap",mechanism="PLAIN",outcome="refused"} ${4 * n}
mailmux_logins_total{protocol="imap",mechanism="PLAIN",outcome="unavailable"} 0
mailmux_relayed_bytes_total{protocol="imap",backend="store1",direction="from-client"} ${2048 * n}
mailmux_relayed_bytes_total{protocol="imap",backend="store1",direction="from-backend"} ${2097152 * n}
mailmux_connections 12
mailmux_connections_max 1000
mailmux_sessions{protocol="imap",backend="store1"} 7
mailmux_sessions{protocol="pop3",backend="store1"} 2
mailmux_sessions{protocol="imap",backend="store2"} 30
mailmux_backend_up{backend="store1"} 1
mailmux_backend_up{backend="store2"} 0
mailmux_backend_up{backend="${hostile}"} 1
mailmux_backend_state{backend="store1",state="up"} 0
mailmux_backend_state{backend="store1",state="drain"} 1
mailmux_backend_logins{backend="store1"} 3
mailmux_backend_logins_waiting{backend="store2"} 5
mailmux_login_duration_seconds_bucket{le="0.01",protocol="imap",backend="store1"} ${50 * n}
mailmux_login_duration_seconds_bucket{le="0.1",protocol="imap",backend="store1"} ${98 * n}
mailmux_login_duration_seconds_bucket{le="5",protocol="imap",backend="store1"} ${100 * n}
mailmux_login_duration_seconds_bucket{le="+Inf",protocol="imap",backend="store1"} ${100 * n}
mailmux_login_duration_seconds_count{protocol="imap",backend="store1"} ${100 * n}
mailmux_connections_rejected_total{reason="client-http"} ${n}
mailmux_limits_hit_total{limit="max_connections"} 0
`
}

const frameOf = (before: string | undefined, after: string, seconds = 2) =>
  buildFrame(before === undefined ? undefined : parseSamples(before), parseSamples(after), seconds)

test('reads labels with escapes, and passes over other lines', () => {
  const samples = parseSamples('# TYPE a counter\na{x="1,2",y="q\\"\\\\\\n}"} 3\nb 4\nnonsense\nc{x="1"} NaN\nd +Inf\n')
  assert.deepEqual(
    [...samples],
    [
      ['a', [{ labels: { x: '1,2', y: 'q"\\\n}' }, value: 3 }]],
      ['b', [{ labels: {}, value: 4 }]],
      ['d', [{ labels: {}, value: Infinity }]],
    ],
  )
})

test('computes rates of two readings, and gauges of the second', () => {
  const frame = frameOf(metrics(1), metrics(2))
  assert.deepEqual(frame.logins, { accepted: 60, refused: 2, failed: 0 })
  assert.deepEqual(frame.bytes, { fromClients: 1024, fromBackends: 1048576 })
  assert.deepEqual(frame.connections, { open: 12, max: 1000 })
  assert.equal(frame.sessions, 39)
  const { name, state, isUp, sessions, loginsPerSecond, logins, p50Ms, p99Ms, slowestMs } = frame.backends[0]!
  assert.deepEqual(
    { name, state, isUp, sessions, loginsPerSecond, logins, p50Ms, p99Ms, slowestMs },
    {
      name: 'store1',
      state: 'drain',
      isUp: true,
      sessions: 9,
      loginsPerSecond: 50,
      logins: 3,
      p50Ms: 10,
      p99Ms: 5000,
      slowestMs: 5000,
    },
  )
  assert.equal(frame.backends[1]?.waiting, 5)
  assert.equal(frame.backends[1].isUp, false)
  assert.equal(frame.backends[1].p50Ms, undefined)
  assert.deepEqual(frame.reasons, [
    { reason: 'login refused', perSecond: 2, total: 8 },
    { reason: 'connection client-http', perSecond: 0.5, total: 2 },
  ])
})

test('has no rate at the first reading, and counts from zero where a counter has begun again', () => {
  assert.deepEqual(frameOf(undefined, metrics(5), 0).logins, { accepted: 0, refused: 0, failed: 0 })
  assert.deepEqual(frameOf(metrics(100), metrics(1)).logins, { accepted: 60, refused: 2, failed: 0 })
})

test('shows a frame of a site', () => {
  assert.deepEqual(renderFrame(frameOf(metrics(1), metrics(2)), FIRST_VIEW), [
    'logins/s 60.0 accepted  2.0 refused  0.0 failed',
    'bytes/s  1.0 KiB from clients  1.0 MiB from back ends',
    'sessions 39  connections 12 of 1000',
    '',
    'BACK END  STATE            SESSIONS  LOGINS/S  BYTES/S  LOGGING IN  WAITING  P50    P99  SLOWEST',
    'store2    up, NOT HEALTHY  30        0.0       0 B      0           5        -      -    -',
    'store1    drain            9         50.0      1.0 MiB  3           0        <10ms  <5s  <5s',
    'store3    up               0         0.0       0 B      0           0        -      -    -',
    '',
    'REFUSED                 PER SECOND  IN ALL',
    'login refused           2.0         8',
    'connection client-http  0.5         2',
  ])
})

describe('the view', () => {
  const frame = frameOf(metrics(1), metrics(2, 'evil\\n\x1b[2J\u202e'))

  test('fits into every size of a terminal, however small', () => {
    for (const rows of [1, 2, 3, 5, 8, 10, 24, 100])
      for (const columns of [1, 10, 80, 300])
        for (const view of [FIRST_VIEW, { ...FIRST_VIEW, showsHelp: true }, { ...FIRST_VIEW, error: 'no answer' }]) {
          const lines = renderView(frame, view, 'mailmux top', { rows, columns })
          assert.equal(lines.length, rows)
          assert.ok(lines.every((line) => Array.from(line).length <= columns))
        }
  })

  test('has no character that a terminal obeys', () => {
    const text = renderView(frame, { ...FIRST_VIEW, filter: 'e\x1b' }, 'mailmux \x1b[31mtop', {
      rows: 40,
      columns: 200,
    }).join('\n')
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
  })

  test('sorts, filters and leaves by keys', () => {
    const press = (keys: string): ViewState => {
      let view = FIRST_VIEW
      for (const key of keys) {
        const next = pressKey(view, key)
        assert.ok(next !== 'quit', `${JSON.stringify(key)} quits`)
        view = next
      }
      return view
    }
    const names = (view: ViewState): string[] =>
      renderFrame(frameOf(metrics(1), metrics(2)), view).flatMap((line) => /^store\d/.exec(line)?.[0] ?? [])
    assert.deepEqual(names(press('')), ['store2', 'store1', 'store3'])
    assert.deepEqual(names(press('s')), ['store1', 'store2', 'store3'])
    assert.deepEqual(names(press('sss')), ['store2', 'store1', 'store3'])
    assert.deepEqual(names(press('/E3\r')), ['store3'])
    assert.deepEqual(press('/q?s\x7f').filter, 'q?')
    assert.deepEqual(press('/abc\x1b').filter, '')
    assert.equal(press('?').showsHelp, true)
    assert.equal(press('??').showsHelp, false)
    assert.equal(press(' ').isPaused, true)
    assert.equal(pressKey(FIRST_VIEW, 'q'), 'quit')
    assert.equal(pressKey(press('/x'), '\x03'), 'quit')
    assert.ok(press(`/${'x'.repeat(500)}`).filter.length <= 60)
  })
})

test('the screen puts the terminal back as it was, once', () => {
  const raw: boolean[] = []
  const keys = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => void raw.push(on) })
  const output = Object.assign(new EventEmitter(), {
    written: '',
    write: (text: string) => void (output.written += text),
  })
  const pressed: string[] = []
  let resized = 0
  const screen = openScreen(
    keys as unknown as Keys,
    output as unknown as Output,
    (key) => pressed.push(key),
    () => resized++,
  )
  assert.deepEqual(screen.size(), { columns: 80, rows: 24 })
  screen.paint(['one', 'two'])
  output.emit('resize')
  keys.emit('data', 'sq')
  keys.emit('data', '\x1b[A')
  screen.close()
  screen.close()
  keys.emit('data', 's')
  output.emit('resize')
  screen.paint(['three'])
  assert.deepEqual(pressed, ['s', 'q'])
  assert.equal(resized, 1)
  assert.deepEqual(raw, [true, false])
  assert.equal(output.written, '\x1b[?1049h\x1b[?25l\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J\x1b[?25h\x1b[?1049l')
})

/** @param codes gets the exit code */
async function runTop(
  { config, terminal }: Pick<Awaited<ReturnType<typeof openAdminPort>>, 'config' | 'terminal'>,
  args: string[],
  screen: { keys: Keys; output: Output },
  stopped: AbortSignal,
  codes: number[],
): Promise<void> {
  const program = new Command()
  addTopCommand(program, {
    configOption: () => new Option('-c, --config <file>').default(config),
    terminal,
    exitAsUsage: () => process.exit(2),
    exitWith: (code) => void codes.push(code),
    screen: () => screen,
    interrupted: () => stopped,
  })
  await program.parseAsync(args, { from: 'user' })
}

test('prints one frame without a terminal, as a table or as JSON', async (t) => {
  const port = await openAdminPort(t, 200, 'mailmux_connections 12')
  const { asked, out } = port
  const codes: number[] = []
  for (const more of [[], ['--json']]) {
    const screen = { keys: new PassThrough(), output: new PassThrough() }
    await runTop(port, ['top', ...more], screen, new AbortController().signal, codes)
  }
  assert.deepEqual(codes, [0, 0])
  assert.deepEqual(
    asked,
    Array.from({ length: 4 }, () => 'GET /metrics'),
  )
  assert.match(out[0] ?? '', /^logins\/s 0\.0 accepted/)
  assert.deepEqual(Object.keys(JSON.parse(out.slice(out.indexOf('{')).join('\n')) as object), [
    'seconds',
    'logins',
    'bytes',
    'connections',
    'sessions',
    'backends',
    'reasons',
  ])
})

describe('ends at once while a question hangs', () => {
  for (const [title, hangsAt, end] of [
    ['by q', 2, (keys: PassThrough) => keys.write('q')],
    ['by a signal', 2, (_: PassThrough, stop: AbortController) => stop.abort()],
    ['by a signal at the first question', 1, (_: PassThrough, stop: AbortController) => stop.abort()],
  ] as const)
    test(title, async (t) => {
      const port = await openAdminPort(t, 200, 'mailmux_connections 12', hangsAt)
      const keys = Object.assign(new PassThrough(), { isTTY: true })
      const output = Object.assign(new PassThrough().resume(), { isTTY: true })
      const stop = new AbortController()
      const codes: number[] = []
      const run = runTop(port, ['top'], { keys, output }, stop.signal, codes)
      await within(READ_DEADLINE_MS, port.hangs, () => 'no question hangs')
      end(keys, stop)
      // A question that hangs ends after 15 s by itself.
      await within(10_000, run, () => 'top has not ended')
      assert.deepEqual(codes, [0])
    })
})
