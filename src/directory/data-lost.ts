/** The directory answers, but has lost what it held: its answers count no more than those of a directory that is away. */
import { MuxError } from '../errors.ts'

export class DataLost extends MuxError {
  constructor(message: string) {
    super('directory-unavailable', message)
  }
}
