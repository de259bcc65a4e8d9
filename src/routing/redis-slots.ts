/** Which keys a Redis Cluster keeps together, and one key for each part of it. Pure. */

const SLOTS = 16_384
/** A master that holds 256 slots in a row, as one of up to 64 that share them evenly, holds one of them. */
const PARTS = 64

/** What a Cluster looks at: the text in the first pair of braces that is not empty, else the whole key. */
function hashedPart(key: string): string {
  return /^[^{]*\{([^}]+)\}/u.exec(key)?.[1] ?? key
}

/** CRC16 with the polynomial 0x1021, as the specification of Redis Cluster has it. */
export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashedPart(key))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    crc &= 0xffff
  }
  return crc % SLOTS
}

/** @returns a key below `key` in each part of the slots; none where a pair of braces in it puts all keys into one slot */
export function partKeys(key: string): string[] {
  if (hashedPart(key) !== key) return []
  const keys = new Map<number, string>()
  for (let number = 0; keys.size < PARTS; number++) {
    const candidate = `${key}:{${number}}`
    const part = partNumber(candidate)
    if (!keys.has(part)) keys.set(part, candidate)
  }
  return [...keys].sort(([a], [b]) => a - b).map(([, one]) => one)
}

/** @returns which of `partKeys` is in the same part of the slots as this key */
export function partNumber(key: string): number {
  return Math.floor((slotOf(key) * PARTS) / SLOTS)
}
