/** What the tallies report is what prom-client reports of the same calls. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { createHistogram, TalliedCounter, TalliedGauge } from '../../../src/metrics/tallies.ts'

const help = 'For the test.'
const protocol = fc.constantFrom('imap', 'pop3', 'managesieve')
const backend = fc.constantFrom('', 'store1', 'store2')
const BUCKETS = [0.001, 0.01, 0.1, 1]
const seconds = fc.oneof(fc.constantFrom(...BUCKETS, 0), fc.double({ min: 0, max: 5, noNaN: true }))

/** Both readings of a registry: its text, and the JSON that workers send to their supervisor. */
async function read(registry: Registry): Promise<unknown> {
  // mailmux uses no exemplars; prom-client's reading has an empty field for them.
  const json = JSON.stringify(await registry.getMetricsAsJSON(), (key, value: unknown) =>
    key === 'exemplar' ? undefined : value,
  )
  return { text: await registry.metrics(), json: JSON.parse(json) as unknown }
}

/** @param scrapes the registries are read after each: a reading must neither lose nor repeat an amount */
async function compare<Call>(
  scrapes: readonly (readonly Call[])[],
  ours: (registers: Registry[]) => (call: Call) => void,
  theirs: (registers: Registry[]) => (call: Call) => void,
): Promise<void> {
  const [own, reference] = [new Registry(), new Registry()]
  const [note, noteThere] = [ours([own]), theirs([reference])]
  for (const calls of scrapes) {
    for (const call of calls) {
      note(call)
      noteThere(call)
    }
    assert.deepEqual(await read(own), await read(reference))
  }
}

test('a counter reports the sums that prom-client reports', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.tuple(protocol, backend))), async (scrapes) => {
      const labelNames = ['protocol', 'backend']
      await compare(
        scrapes,
        (registers) => {
          const counter = new TalliedCounter({ name: 'some_total', help, labelNames, registers })
          return ([first, second]) => counter.inc(first, second)
        },
        (registers) => {
          const counter = new Counter({ name: 'some_total', help, labelNames, registers })
          return ([first, second]) => counter.inc({ protocol: first, backend: second })
        },
      )
    }),
  )
})

test('a tally adds to the counter of its labels', async () => {
  const registry = new Registry()
  const counter = new TalliedCounter({
    ...{ name: 'bytes_total', help, labelNames: ['protocol', 'backend', 'direction'], registers: [registry] },
  })
  const tally = counter.tally('imap', 'store1', 'from-client')
  tally.add(7)
  tally.add(0)
  counter.inc('imap', 'store1', 'from-client')
  const { values } = await registry.getSingleMetric('bytes_total')!.get()
  assert.deepEqual(
    values.map(({ labels, value }) => ({ labels, value })),
    [{ labels: { protocol: 'imap', backend: 'store1', direction: 'from-client' }, value: 8 }],
  )
})

test('a gauge reports the balance that prom-client reports', async () => {
  const step = fc.tuple(fc.constantFrom(1 as const, -1 as const), protocol, backend)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step)), async (scrapes) => {
      const labelNames = ['protocol', 'backend']
      await compare(
        scrapes,
        (registers) => {
          const gauge = new TalliedGauge({ name: 'some', help, labelNames, registers })
          return ([amount, first, second]) => gauge.add(amount, first, second)
        },
        (registers) => {
          const gauge = new Gauge({ name: 'some', help, labelNames, registers })
          return ([amount, first, second]) => gauge.inc({ protocol: first, backend: second }, amount)
        },
      )
    }),
  )
})

test('a histogram with labels reports the buckets that prom-client reports', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.tuple(seconds, protocol, backend))), async (scrapes) => {
      const options = { name: 'some_seconds', help, labelNames: ['protocol', 'backend'], buckets: BUCKETS }
      await compare(
        scrapes,
        (registers) => {
          const histogram = createHistogram({ ...options, registers })
          return ([value, first, second]) => histogram.record(value, first, second)
        },
        (registers) => {
          const histogram = new Histogram({ ...options, registers })
          return ([value, first, second]) => histogram.observe({ protocol: first, backend: second }, value)
        },
      )
    }),
  )
})

test('a histogram without labels has all its buckets before the first observation', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(seconds)), async (scrapes) => {
      const options = { name: 'some_seconds', help, buckets: BUCKETS }
      await compare(
        [[], ...scrapes],
        (registers) => {
          const histogram = createHistogram({ ...options, registers })
          return (value) => histogram.record(value)
        },
        (registers) => {
          const histogram = new Histogram({ ...options, registers })
          return (value) => histogram.observe(value)
        },
      )
    }),
  )
})
