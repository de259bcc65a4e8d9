/**
 * What tells one content of a file from another. A file that is absent or cannot be read has a hash too, as its coming and going are
 * changes.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MAX_YAML_BYTES, openRegularFile, readPieces } from './regular-file.ts'

/** Hashed in less than a millisecond, after which other work of this thread has its turn. */
const PIECE_BYTES = 256 * 1024
/** Small files are read one after another, and after so many of them other work has its turn: about 3 ms. */
const FILES_A_TURN = 50

/** @throws MuxError `local-shortage` */
export function hashContentNow(file: string): string {
  const hash = createHash('sha256')
  // A copy of the whole file would stay with the process for hours.
  const read = readPieces(file, MAX_YAML_BYTES, Buffer.allocUnsafeSlow(PIECE_BYTES), (piece) => hash.update(piece))
  return 'wrong' in read ? read.wrong : hash.digest('hex')
}

/** As `hashContentNow` for each, in pieces between which other work of this thread goes on. */
export async function hashAll(files: readonly string[]): Promise<Map<string, string>> {
  const hashes = new Map<string, string>()
  let done = 0
  for (const file of files) {
    hashes.set(file, isLarge(file) ? await hashPieces(file) : hashContentNow(file))
    if (++done % FILES_A_TURN === 0) await setImmediate()
  }
  return hashes
}

function isLarge(file: string): boolean {
  try {
    return fs.statSync(file).size > PIECE_BYTES
  } catch {
    return false // absent or out of reach, which is a hash too
  }
}

async function hashPieces(file: string): Promise<string> {
  const opened = openRegularFile(file, MAX_YAML_BYTES)
  if ('wrong' in opened) return opened.wrong
  const { descriptor } = opened.value
  try {
    const hash = createHash('sha256')
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
    for (let length = 0; length <= MAX_YAML_BYTES;) {
      const { bytesRead } = await readSome(descriptor, piece, 0, piece.length, null)
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(piece.subarray(0, bytesRead))
      length += bytesRead
    }
  } catch {
    // The file is read again as a whole, which tells what is wrong.
  } finally {
    fs.closeSync(descriptor)
  }
  return hashContentNow(file)
}

const readSome = promisify(fs.read)
