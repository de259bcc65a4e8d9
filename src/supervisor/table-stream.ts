/**
 * A table of users as a stream of octets, from the process that reads the configuration. The receiver would copy messages three times, and
 * would not return their memory to the system: 13 MiB for 100,000 users. A stream is read in chunks of 64 KiB, and each chunk is copied
 * once, into the table.
 *
 * The stream contains the length of the head in 4 octets, the head in JSON, the records and the slots. It is empty if there is no table.
 */
import { UserTable } from '../config/build/user-table.ts'

type Head = { size: number; backends: readonly string[]; recordOctets: number; slotCount: number }

const LENGTH_OCTETS = 4
/** The names of a hundred thousand back ends. A longer head is none. */
const MOST_HEAD_OCTETS = 16 * 1024 * 1024

/** @returns the parts of the stream, in this order */
export function tableStream({ parts: { size, backends, records, slots } }: UserTable): Uint8Array[] {
  const head: Head = { size, backends, recordOctets: records.byteLength, slotCount: slots.length }
  const text = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(LENGTH_OCTETS)
  length.writeUInt32LE(text.length)
  return [length, text, records, new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength)]
}

export type TableReader = {
  /** Takes the next octets of the stream, split at any position. Octets after the table are an error. */
  accept: (octets: Uint8Array) => void
  /** The table, as soon as all of it has arrived. */
  table: () => UserTable | undefined
}

export function createTableReader(): TableReader {
  let head = new Uint8Array(LENGTH_OCTETS)
  let step: 'length' | 'head' | 'blocks' | 'done' = 'length'
  let blocks: Uint8Array[] = [head]
  let [block, at] = [0, 0]
  let table: UserTable | undefined

  function expect(next: typeof step, wanted: Uint8Array[]): void {
    step = next
    blocks = wanted.filter(({ length }) => length > 0)
    block = 0
    at = 0
    if (blocks.length === 0 && step !== 'done') proceed()
  }

  /** All blocks of this step are full. */
  function proceed(): void {
    if (step === 'length') {
      const length = Buffer.from(head.buffer).readUInt32LE()
      if (length > MOST_HEAD_OCTETS) throw new Error(`a head of ${length} octets`)
      head = new Uint8Array(length)
      expect('head', [head])
    } else if (step === 'head') {
      const { size, backends, recordOctets, slotCount } = JSON.parse(Buffer.from(head.buffer).toString()) as Head
      const records = new Uint8Array(recordOctets)
      const slots = new Uint32Array(slotCount)
      table = new UserTable({ size, backends, records, slots })
      expect('blocks', [records, new Uint8Array(slots.buffer)])
    } else expect('done', [])
  }

  return {
    accept(octets) {
      for (let from = 0; from < octets.length;) {
        const target = blocks[block]
        if (!target) throw new Error('octets behind the table')
        const taken = octets.subarray(from, from + target.length - at)
        target.set(taken, at)
        from += taken.length
        at += taken.length
        if (at < target.length) return
        block++
        at = 0
        if (block === blocks.length) proceed()
      }
    },
    table: () => (step === 'done' ? table : undefined),
  }
}
