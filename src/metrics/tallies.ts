/**
 * Counters, gauges and histograms for what each connection or login records. prom-client checks and hashes the labels at each call;
 * these only add numbers, and prom-client gets them at a scrape. What happens less often uses prom-client directly.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** As prom-client's own options. Up to three labels; their values are given in this order. */
export type TallyOptions = { name: string; help: string; labelNames?: readonly string[]; registers: Registry[] }

/** The cells of a series, one for each combination of up to three label values. */
class Cells<Cell> {
  readonly all: { labels: Record<string, string>; cell: Cell }[] = []
  readonly #names: readonly string[]
  readonly #create: () => Cell
  readonly #root = new Map<string, Map<string, Map<string, Cell>>>()

  constructor(names: readonly string[], create: () => Cell) {
    this.#names = names
    this.#create = create
  }

  /** Labels that the series does not have are ''. */
  at(first: string, second: string, third: string): Cell {
    return this.#root.get(first)?.get(second)?.get(third) ?? this.#add([first, second, third])
  }

  #add(values: [string, string, string]): Cell {
    const [first, second, third] = values
    const cell = this.#create()
    const byFirst = this.#root.get(first) ?? new Map<string, Map<string, Cell>>()
    const bySecond = byFirst.get(second) ?? new Map<string, Cell>()
    this.#root.set(first, byFirst.set(second, bySecond.set(third, cell)))
    const labels = Object.fromEntries(this.#names.map((name, index) => [name, values[index] ?? '']))
    this.all.push({ labels, cell })
    return cell
  }
}

type Amount = { value: number }
const newAmount = (): Amount => ({ value: 0 })

/** What is added to one combination of labels. */
export type Tally = { add: (amount: number) => void }

/** A counter. Its label values are given in the order of `labelNames`, and must come from a closed set. */
export class TalliedCounter {
  readonly #cells: Cells<Amount>

  constructor({ labelNames = [], ...options }: TallyOptions) {
    const cells = (this.#cells = new Cells(labelNames, newAmount))
    new Counter({
      ...options,
      labelNames: [...labelNames],
      collect() {
        for (const { labels, cell } of cells.all) {
          this.inc(labels, cell.value)
          cell.value = 0
        }
      },
    })
  }

  inc(first = '', second = '', third = ''): void {
    this.#cells.at(first, second, third).value++
  }

  /** For a caller that adds often to the same labels. */
  tally(first = '', second = '', third = ''): Tally {
    const cell = this.#cells.at(first, second, third)
    return { add: (amount) => void (cell.value += amount) }
  }
}

/** A gauge that goes up and down by one. */
export class TalliedGauge {
  readonly #cells: Cells<Amount>

  constructor({ labelNames = [], ...options }: TallyOptions) {
    const cells = (this.#cells = new Cells(labelNames, newAmount))
    new Gauge({
      ...options,
      labelNames: [...labelNames],
      collect() {
        for (const { labels, cell } of cells.all) this.set(labels, cell.value)
      },
    })
  }

  add(amount: 1 | -1, first = '', second = '', third = ''): void {
    this.#cells.at(first, second, third).value += amount
  }
}

/** Observations by the index of the first bucket that holds them; the last entry has those above all buckets. */
type Observations = { counts: number[]; sum: Amount }

/** The part of a histogram that a metric uses. prom-client's `observe` would be lost here. */
export type RecordedHistogram = Pick<TalliedHistogram, 'record'>

/** @param options with the upper bounds of the buckets, rising */
export function createHistogram(options: HistogramOptions): RecordedHistogram {
  return new TalliedHistogram(options)
}

type HistogramOptions = TallyOptions & { buckets: readonly number[] }

/** prom-client's own takes one observation at a time, so that its reading is replaced. */
class TalliedHistogram extends Histogram {
  readonly #cells: Cells<Observations>
  readonly #bounds: readonly number[]
  readonly #options: Pick<TallyOptions, 'name' | 'help'>

  constructor({ labelNames = [], buckets, ...options }: HistogramOptions) {
    super({ ...options, labelNames: [...labelNames], buckets: [...buckets] })
    this.#options = options
    this.#bounds = buckets
    this.#cells = new Cells(labelNames, () => ({
      counts: new Array<number>(buckets.length + 1).fill(0),
      sum: newAmount(),
    }))
    if (labelNames.length === 0) this.#cells.at('', '', '') // as prom-client: without labels there is one from the start
  }

  record(value: number, first = '', second = '', third = ''): void {
    const { counts, sum } = this.#cells.at(first, second, third)
    let bucket = 0
    for (const bound of this.#bounds) {
      if (value <= bound) break
      bucket++
    }
    counts[bucket] = (counts[bucket] ?? 0) + 1
    sum.value += value
  }

  /** What every reading of prom-client's histogram is made of, though its types do not show it. `sharedLabels` are those of all values of a cell. */
  getForPromString() {
    const { name, help } = this.#options
    const values = this.#cells.all.flatMap((one) => this.#read(one))
    return { name, help, type: 'histogram', aggregator: 'sum', values }
  }

  #read({ labels, cell: { counts, sum } }: { labels: Record<string, string>; cell: Observations }) {
    const { name } = this.#options
    let count = 0
    const buckets = [...this.#bounds, '+Inf'].map((le, index) => {
      count += counts[index] ?? 0
      return { metricName: `${name}_bucket`, labels: { le }, sharedLabels: labels, value: count }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, sharedLabels: labels, value: sum.value },
      { metricName: `${name}_count`, labels: {}, sharedLabels: labels, value: count },
    ]
  }
}
