/**
 * Sends a table of users between two processes in pieces: a channel writes and reads each message as a whole, and one message with a
 * million users would block both sides.
 */
import { UserTable } from '../config/build/user-table.ts'

/** A message with such a piece is smaller than the 64 KiB of one read, so it arrives in one read. Reading it takes well under a millisecond. */
const PIECE_OCTETS = 60 * 1024

export type TablePiece =
  | { is: 'first'; size: number; backends: readonly string[]; recordOctets: number; slotCount: number }
  | { is: 'records' | 'slots'; at: number; octets: Uint8Array }

/**
 * Sends one piece after another, each after the receipt of the one before.
 * @param send settles when the piece was received
 * @param isWanted called before each piece; after `false`, no further piece is sent
 */
export async function sendTable(
  { parts: { size, backends, records, slots } }: UserTable,
  send: (piece: TablePiece) => Promise<unknown>,
  isWanted: () => boolean,
): Promise<void> {
  await send({ is: 'first', size, backends, recordOctets: records.byteLength, slotCount: slots.length })
  const blocks = { records, slots: new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength) }
  for (const is of ['records', 'slots'] as const) {
    for (let at = 0; at < blocks[is].byteLength && isWanted(); at += PIECE_OCTETS)
      await send({ is, at, octets: blocks[is].subarray(at, at + PIECE_OCTETS) })
  }
}

export type TableReceiver = {
  accept: (piece: TablePiece) => void
  /** The table that arrived last. Call it only after all pieces have arrived. */
  table: () => UserTable | undefined
}

export function createTableReceiver(): TableReceiver {
  let table: UserTable | undefined
  let octets = { records: new Uint8Array(), slots: new Uint8Array() }
  return {
    accept(piece) {
      if (piece.is === 'first') {
        const { size, backends, recordOctets, slotCount } = piece
        const records = new Uint8Array(recordOctets)
        const slots = new Uint32Array(slotCount)
        octets = { records, slots: new Uint8Array(slots.buffer) }
        table = new UserTable({ size, backends, records, slots })
      } else octets[piece.is].set(piece.octets, piece.at)
    },
    table: () => table,
  }
}
