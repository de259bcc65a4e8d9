/** The events in the API, as server-sent events (the section of that name of the HTML standard). */
import { z } from 'zod'
import { declare, type Routes } from './declared.ts'
import { MOST_READERS, type Event, type Events, type Reader } from './events.ts'
import { refuse } from './guard.ts'

/** Less than the 30 s after which a connection without an octet is closed, here and in proxies. */
const HEARTBEAT_MS = 10_000
/** How long a reader waits before it comes back: an upgrade ends all of them at once. */
const RETRY_MS = 2000

const EXAMPLE = {
  message: 'back end state set by operator',
  peer: 'socket',
  backend: 'store1',
  before: 'up',
  state: 'drain',
}

const followEvents = declare({
  method: 'get',
  path: '/events',
  right: 'read',
  summary:
    'Streams events as server-sent events: changes of back ends, instances, blocks, moves and the configuration, refusals, and orders',
  answer: z.string().describe('each event has an id, a name, and an object in JSON as its data'),
  contentType: 'text/event-stream',
  refusals: { 503: `there are ${MOST_READERS} readers already` },
  example: { answer: format({ id: '1b9d6bcd-7', name: 'audit', data: EXAMPLE }) },
})

export function addEventRoutes(routes: Routes, events: Pick<Events, 'read'>): void {
  routes.add(followEvents, ({ c, caller }) => {
    if (c.req.method === 'HEAD') return c.body(null, 200, { 'content-type': 'text/event-stream' }) // no stream would be read, or end
    const after = c.req.header('last-event-id')
    const reader = events.read(after)
    if (!reader) return refuse(c, 503, `there are ${MOST_READERS} readers of events already`)
    return c.body(streamOf(reader, caller.isInForce), 200, { 'content-type': 'text/event-stream' })
  })
}

/**
 * Pulls one event when the connection takes more, so that the queue of the reader is the only one.
 * @param isInForce whether the reader may still read
 */
function streamOf(reader: Reader, isInForce: () => boolean): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let next: Promise<Event | undefined> | undefined
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`)),
      async pull(controller) {
        next ??= reader.next()
        const event = await orHeartbeat(next)
        if (!isInForce()) {
          reader.close()
          controller.close()
          return
        }
        if (event !== 'heartbeat') next = undefined
        const text = textOf(event, reader)
        if (text !== undefined) controller.enqueue(encoder.encode(text))
        if (event === undefined) controller.close()
      },
      cancel: () => reader.close(),
    },
    { highWaterMark: 1 },
  )
}

/** The last event of a reader that is slower than the events. It has no id, so that the reader goes on after the last one that it has. */
const SLOW = 'event: dropped\ndata: {"why":"this reader was too slow; events are missing"}\n\n'

/** @returns undefined: the stream ends without a word */
function textOf(event: Event | 'heartbeat' | undefined, reader: Reader): string | undefined {
  if (event === 'heartbeat') return ': heartbeat\n\n'
  if (event) return format(event)
  return reader.why() === 'slow' ? SLOW : undefined
}

async function orHeartbeat(next: Promise<Event | undefined>): Promise<Event | 'heartbeat' | undefined> {
  let timer: NodeJS.Timeout | undefined
  const heartbeat = new Promise<'heartbeat'>((resolve) => {
    timer = setTimeout(() => resolve('heartbeat'), HEARTBEAT_MS)
  })
  try {
    return await Promise.race([next, heartbeat])
  } finally {
    clearTimeout(timer)
  }
}

/** JSON has no line feed, so that the data is one line. */
function format({ id, name, data }: Event): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
