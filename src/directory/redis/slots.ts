/** The slots of a Redis Cluster: the slot of a key, one key for each part of the slots, and the form of the answer to CLUSTER SLOTS. Pure. */
import { BadAnswer } from './errors.ts'

const SLOTS = 16_384
/** A master that holds 256 slots in a row, as one of up to 64 that share them evenly, holds one of them. */
const PARTS = 64

/** The part of a key that a Cluster hashes: the text in the first pair of braces if it is not empty, else the whole key. */
function hashedPart(key: string): string {
  return /^[^{]*\{([^}]+)\}/u.exec(key)?.[1] ?? key
}

/** CRC16 with the polynomial 0x1021, by the specification of Redis Cluster. */
export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashedPart(key))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    crc &= 0xffff
  }
  return crc % SLOTS
}

/** @returns one key derived from `key` in each part of the slots; none if a pair of braces in `key` puts all keys into one slot */
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

/**
 * @param answer to CLUSTER INFO, a text, or to CLUSTER SLOTS
 * @returns the same
 * @throws BadAnswer if it is neither
 */
export function checkClusterAnswer(answer: unknown): unknown {
  if (typeof answer === 'string' || (Array.isArray(answer) && answer.every(isSlotRange))) return answer
  throw new BadAnswer('CLUSTER SLOTS was answered in another form')
}

/** First and last slot, then the nodes that have them, the master first: each its address, its port, and more. */
function isSlotRange(range: unknown): boolean {
  if (!Array.isArray(range)) return false
  const [first, last, ...nodes] = range as unknown[]
  const isSlot = (slot: unknown): slot is number => Number.isInteger(slot) && Number(slot) >= 0 && Number(slot) < SLOTS
  return isSlot(first) && isSlot(last) && first <= last && nodes.every(isNode)
}

function isNode(node: unknown): boolean {
  if (!Array.isArray(node)) return false
  const [host, port] = node as unknown[]
  // An empty address stands for the node that answers, which does not know its own address.
  return (
    (host === null || typeof host === 'string') && Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536
  )
}

/** Whether an error is a redirection without a valid target. */
export function isBadRedirection(message: string): boolean {
  return /^(?:MOVED|ASK)\b/u.test(message) && !/^(?:MOVED|ASK) \d{1,5} \S*:\d{1,5}$/u.test(message)
}
