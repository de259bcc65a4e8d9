/** `openssl s_client`: a TLS client that keeps sessions in files and takes them from there, which Node's own hides. */
import { spawn } from 'node:child_process'
import { within } from './deadline.ts'

/** s_client has a process to start and a handshake to do, beside others on a loaded machine. */
const S_CLIENT_MS = 30_000

export type Handshake = {
  /** the line that the server sends first in TLS; undefined: the server closed before it sent one */
  greeting: string | undefined
  /** whether s_client reports that the server resumed the session */
  reused: boolean
  /** everything that s_client printed */
  output: string
}

/**
 * Connects in TLS, waits for one line that starts with `* ` or `+OK`, and closes.
 * @param args further arguments of s_client
 * @param command sent after the handshake, for a server that sends nothing by itself (after STARTTLS)
 */
export async function shakeHandsWithOpenssl(port: number, args: readonly string[], command = ''): Promise<Handshake> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], { stdio: 'pipe' })
  let output = ''
  const note = (chunk: Buffer): void => {
    output += chunk.toString('latin1')
    // s_client waits for the end of its input; the session file has been written by then.
    if (greetingIn(output) !== undefined) child.stdin.end()
  }
  child.stdin.on('error', () => undefined) // s_client has ended by itself
  child.stdin.write(command)
  child.stdout.on('data', note)
  child.stderr.on('data', note)
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  try {
    await within(S_CLIENT_MS, ended, () => `s_client does not end:\n${output}`)
  } finally {
    child.kill('SIGKILL')
  }
  return { greeting: greetingIn(output), reused: /^Reused, /m.test(output), output }
}

function greetingIn(output: string): string | undefined {
  return /^((?:\* |\+OK)[^\r\n]*)\r?\n/m.exec(output)?.[1]
}
