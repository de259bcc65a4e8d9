/**
 * A small fuzzer: changes known inputs at random, and looks at what the parser makes of them. It has no eyes inside the parser; an input
 * whose outcome has another name than all before it joins the known ones, which leads it on from refusal to deeper refusal.
 */
import { performance } from 'node:perf_hooks'

export type Target<T = unknown> = {
  /** The parser alone: this is what is timed. What it throws is a failure, unless it is the parser's own error, caught here. */
  parse: (input: Buffer) => T
  /** Whatever must hold of every outcome. @returns a name for this kind of outcome, one of at most a few hundred */
  check(outcome: T, input: Buffer): string
  /** bits of the language that a random byte seldom hits */
  words: readonly string[]
}

export type FuzzOptions = {
  corpus: readonly Buffer[]
  ms: number
  seed: number
  /** longest time that one input may take to parse */
  maxParseMs?: number
}

export type FuzzReport = {
  inputs: number
  outcomes: number
  slowestMs: number
  /** inputs with an outcome that none of the corpus had, in the order in which they were found */
  discoveries: Buffer[]
  failure: { input: Buffer; error: unknown } | undefined
}

/** All of these parsers work on single lines or headers; what is longer is cut off by their callers. */
const MAX_INPUT_BYTES = 64 * 1024
/** Enough for any one outcome of any target, and few enough that each is chosen often. */
const MAX_KNOWN = 400
/** Far above what any input of 64 KiB wants, far below what a backtracking expression takes for it. */
const MAX_PARSE_MS = 50

/** Runs the corpus, then changed inputs until the time is over or one fails. The same seed and corpus give the same inputs. */
export function fuzz<T>(target: Target<T>, { corpus, ms, seed, maxParseMs = MAX_PARSE_MS }: FuzzOptions): FuzzReport {
  const random = createRandom(seed)
  const known = corpus.length > 0 ? [...corpus] : [Buffer.alloc(0)]
  const outcomes = new Set<string>()
  const report: FuzzReport = { inputs: 0, outcomes: 0, slowestMs: 0, discoveries: [], failure: undefined }
  const end = performance.now() + ms

  const attempt = (input: Buffer): boolean => {
    report.inputs++
    try {
      const [outcome, parseMs] = timed(target, input, maxParseMs)
      report.slowestMs = Math.max(report.slowestMs, parseMs)
      if (parseMs > maxParseMs) throw new Error(`took ${parseMs.toFixed(1)} ms; ${maxParseMs} are allowed`)
      const name = target.check(outcome, input)
      if (!outcomes.has(name) && report.inputs > corpus.length) {
        report.discoveries.push(input)
        if (known.length < MAX_KNOWN) known.push(input)
      }
      outcomes.add(name)
      report.outcomes = outcomes.size
      return true
    } catch (error) {
      report.failure = { input, error }
      return false
    }
  }

  for (const input of corpus) if (!attempt(input)) return report
  while (performance.now() < end && attempt(mutate(known, target.words, random))) continue
  return report
}

/** What seems slow by the clock is asked again by the thread's own CPU time, since a busy machine may leave any input waiting. */
function timed<T>(target: Target<T>, input: Buffer, maxParseMs: number): [outcome: T, parseMs: number] {
  const before = performance.now()
  const outcome = target.parse(input)
  const tookMs = performance.now() - before
  if (tookMs <= maxParseMs) return [outcome, tookMs]
  const rounds = [1, 2, 3].map(() => {
    const start = process.threadCpuUsage()
    target.parse(input)
    const { user, system } = process.threadCpuUsage(start)
    return (user + system) / 1000
  })
  return [outcome, Math.min(...rounds)]
}

/** A whole number from 0 to `below - 1` (mulberry32: small, repeatable, good enough here). */
type Random = (below: number) => number

function createRandom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Bytes at which parsers turn: ends, quotes, and the edges of a number. */
const SPECIAL_BYTES = Buffer.from('\0\x01\r\n "\\{}+*=,.:%@()[]/09AZaz\x7f\x80\xfe\xff', 'latin1')

function mutate(known: readonly Buffer[], words: readonly string[], random: Random): Buffer {
  const choose = <E>(list: readonly E[]): E => list[random(list.length)] as E
  let input = Buffer.from(choose(known))
  for (let left = 1 + random(random(4) === 0 ? 12 : 3); left > 0; left--) {
    const at = random(input.length + 1)
    const [before, after] = [input.subarray(0, at), input.subarray(at)]
    // Most changes are short; now and then one is as long as it can be.
    const span = random(random(8) === 0 ? after.length + 1 : Math.min(after.length + 1, 9))
    switch (random(10)) {
      case 0: // one bit
        if (after.length > 0) input.writeUInt8(input.readUInt8(at) ^ (1 << random(8)), at)
        break
      case 1: // one byte
        if (after.length > 0) input.writeUInt8(random(2) ? random(256) : choose([...SPECIAL_BYTES]), at)
        break
      case 2: // a number of two bytes, off by a little
        if (after.length > 1) input.writeUInt16BE((input.readUInt16BE(at) + random(9) - 4) & 0xffff, at)
        break
      case 3: // away with it
        input = Buffer.concat([before, after.subarray(span)])
        break
      case 4: // here it ends
        input = Buffer.from(before)
        break
      case 5: // random bytes
        input = Buffer.concat([before, Buffer.from(Array.from({ length: 1 + random(8) }, () => random(256))), after])
        break
      case 6:
      case 7: // a word of the language
        input = Buffer.concat([
          before,
          Buffer.from(
            choose([...words, choose([...SPECIAL_BYTES].map((byte) => String.fromCharCode(byte)))]),
            'latin1',
          ),
          after,
        ])
        break
      case 8: {
        // the same again, sometimes very often
        const copies = 1 + random(random(20) === 0 ? 3000 : 4)
        input = Buffer.concat([before, ...Array<Buffer>(copies).fill(after.subarray(0, span)), after])
        break
      }
      default: {
        // another one's tail
        const other = choose(known)
        input = Buffer.concat([before, other.subarray(random(other.length + 1))])
      }
    }
    if (input.length > MAX_INPUT_BYTES) input = input.subarray(0, MAX_INPUT_BYTES)
  }
  return input
}
