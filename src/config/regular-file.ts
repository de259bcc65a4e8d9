/**
 * Reads the files of the configuration. A path may lead to a FIFO, whose opening waits for a writer, or to a device, whose data may
 * have no end: regular files alone are read, up to a limit, and no call waits for another process.
 */
import fs from 'node:fs'
import { rethrowShortage, systemCode } from '../errors.ts'
import type { Parsed } from './schema/values.ts'

const MIB = 1024 * 1024

/** mailmux.yaml and routing.yaml. A million users with their routes need about 50 MiB. */
export const MAX_YAML_BYTES = 128 * MIB
/** Certificates, keys, CAs, passwords and tokens. The CA bundle of a Linux distribution has less than 1 MiB. */
export const MAX_FILE_BYTES = 4 * MIB

const NOT_REGULAR = 'is not a regular file'

/**
 * @returns the whole file, or what is wrong in words that follow the file's name
 * @throws MuxError `local-shortage` where this machine has no descriptor or memory to read it
 */
export function readRegularFile(file: string, maxBytes: number): Parsed<Buffer<ArrayBuffer>> {
  const opened = openRegularFile(file, maxBytes)
  if ('wrong' in opened) return opened
  const { descriptor, size } = opened.value
  try {
    return readUpTo(descriptor, size, maxBytes)
  } catch (error) {
    return describe(error, file)
  } finally {
    fs.closeSync(descriptor)
  }
}

/**
 * As `readRegularFile`, without memory for the whole file.
 * @param room for one piece, which the next one overwrites
 * @returns the length in octets, or what is wrong
 */
export function readPieces(
  file: string,
  maxBytes: number,
  room: Buffer<ArrayBuffer>,
  take: (piece: Buffer) => void,
): Parsed<number> {
  const opened = openRegularFile(file, maxBytes)
  if ('wrong' in opened) return opened
  const { descriptor } = opened.value
  try {
    for (let length = 0; ;) {
      const count = fs.readSync(descriptor, room, 0, room.length, null)
      if (count === 0) return { value: length }
      length += count
      if (length > maxBytes) return { wrong: tooLarge(maxBytes) }
      take(room.subarray(0, count))
    }
  } catch (error) {
    return describe(error, file)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** As `readRegularFile`, for a caller that reads and closes the descriptor. */
export function openRegularFile(file: string, maxBytes: number): Parsed<{ descriptor: number; size: number }> {
  try {
    // Checked before the file is opened, which may have an effect on a device, and again on the open file.
    const before = fs.statSync(file)
    if (!before.isFile()) return { wrong: before.isDirectory() ? 'is a directory' : NOT_REGULAR }
    const descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY)
    const stat = fs.fstatSync(descriptor)
    if (stat.isFile() && stat.size <= maxBytes) return { value: { descriptor, size: stat.size } }
    fs.closeSync(descriptor)
    return { wrong: stat.isFile() ? tooLarge(maxBytes) : NOT_REGULAR }
  } catch (error) {
    return describe(error, file)
  }
}

/** @throws MuxError `local-shortage`: the content of the file cannot be read now, which is no error of the file */
function describe(error: unknown, file: string): { wrong: string } {
  rethrowShortage(error, `${file} cannot be read`)
  const code = systemCode(error)
  return { wrong: FILE_ERRORS[code] ?? `cannot be read (${code})` }
}

/** @param size as `fstat` has it: 0 for files of /proc, and less than there is where another process appends */
function readUpTo(descriptor: number, size: number, maxBytes: number): Parsed<Buffer<ArrayBuffer>> {
  // One octet more shows whether the end was reached.
  let bytes = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(size, 4096)) + 1)
  let length = 0
  for (;;) {
    const count = fs.readSync(descriptor, bytes, length, bytes.length - length, null)
    length += count
    if (length > maxBytes) return { wrong: tooLarge(maxBytes) }
    if (count === 0) return { value: bytes.subarray(0, length) }
    if (length < bytes.length) continue
    const larger = Buffer.allocUnsafeSlow(Math.min(maxBytes, length * 2) + 1)
    bytes.copy(larger, 0, 0, length)
    bytes = larger
  }
}

function tooLarge(maxBytes: number): string {
  return `is larger than ${maxBytes < MIB ? `${maxBytes} bytes` : `${maxBytes / MIB} MiB`}`
}

const FILE_ERRORS: Partial<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a directory',
  ENOTDIR: 'does not exist',
}
