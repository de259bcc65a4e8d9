/**
 * The names that a file has had, and in which line: 64 bits of a hash and the number of the line, 24 octets a name. A Map of names would
 * take four times as much. Two of ten million different names have the same 64 bits with a probability of 1 in 370,000.
 */
export type Seen = {
  /** @returns the line in which the name was before; undefined if it is new, and is kept then */
  add: (name: string, line: number) => number | undefined
}

const FIRST_SLOTS = 65_536

export function createSeen(): Seen {
  let size = 0
  let table = emptyTable(FIRST_SLOTS)

  function grow(): void {
    const before = table
    table = emptyTable(before.lines.length * 2)
    for (const [slot, line] of before.lines.entries())
      if (line !== 0) put(before.high[slot] ?? 0, before.low[slot] ?? 0, line)
  }

  /** @returns the line that is there already */
  function put(high: number, low: number, line: number): number | undefined {
    const mask = table.lines.length - 1
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const there = table.lines[slot]
      if (there === 0) {
        table.high[slot] = high
        table.low[slot] = low
        table.lines[slot] = line
        return undefined
      }
      if (table.high[slot] === high && table.low[slot] === low) return there
    }
  }

  return {
    add(name, line) {
      const [high, low] = hashOf(name)
      const there = put(high, low, line)
      // At most half of the slots are taken, so that a search ends after two or three.
      if (there === undefined && ++size * 2 > table.lines.length) grow()
      return there
    },
  }
}

type Table = { high: Uint32Array; low: Uint32Array; lines: Uint32Array }

function emptyTable(slots: number): Table {
  return { high: new Uint32Array(slots), low: new Uint32Array(slots), lines: new Uint32Array(slots) }
}

/** cyrb53 without its last step: two hashes of 32 bits that are mixed with each other. */
function hashOf(name: string): [high: number, low: number] {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let index = 0; index < name.length; index++) {
    const unit = name.charCodeAt(index)
    high = Math.imul(high ^ unit, 2_654_435_761)
    low = Math.imul(low ^ unit, 1_597_334_677)
  }
  const mixedHigh = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  const mixedLow = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  return [mixedHigh >>> 0, mixedLow >>> 0]
}
