/** The output of commands that print more than memory should hold. */
import { systemCode } from '../errors.ts'

/** @returns whether the text is written; false if its reader has gone. @throws Error of the system */
export type Output = (text: string) => Promise<boolean>

export function createOutput(stream: NodeJS.WritableStream): Output {
  return (text) =>
    new Promise((resolve, reject) => {
      stream.write(text, (error) => {
        if (!error) resolve(true)
        else if (systemCode(error) === 'EPIPE') resolve(false)
        else reject(error)
      })
    })
}
