/** Runs a command to its end: the real mail clients, mostly. */
import { spawn } from 'node:child_process'

export type RunResult = { code: number | null; stdout: string; stderr: string }

/** Gives the exit code and the output (latin1, so that every octet survives); a command that takes longer than `ms` is killed and gives code null. */
export function run(
  command: string,
  args: string[],
  options: { input?: string; ms?: number } = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'pipe', timeout: options.ms ?? 60_000, killSignal: 'SIGKILL' })
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('latin1').on('data', (text: string) => (output[name] += text))
    }
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...output }))
    child.stdin.on('error', () => {}) // a command that ends before it has read everything
    child.stdin.end(options.input ?? '')
  })
}
