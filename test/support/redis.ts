/** A real Redis of the test's own: nothing on disk, its own port, and ways to make it fail. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { START_DEADLINE_MS } from './deadline.ts'
import { freePort } from './ports.ts'
import { type Program, startProgram } from './processes.ts'
import type { Scene } from './scene.ts'

const run = promisify(execFile)

export type Redis = {
  port: number
  url: string
  /** Runs one command by redis-cli, as an operator would; gives its output without the last line break. */
  command: (...words: string[]) => Promise<string>
  /** It holds its connections and answers nothing, like a machine that hangs. */
  pause: () => void
  resume: () => void
  stop: () => Promise<void>
  /** Starts it again on the same port, empty. */
  restart: () => Promise<void>
}

/** Starts redis-server on `port` or a free one, and waits until it accepts connections. */
export async function startRedis(scene: Scene, options: { port?: number } = {}): Promise<Redis> {
  const port = options.port ?? (await freePort())
  const start = async (): Promise<Program> => {
    const program = startProgram(scene, {
      name: 'redis',
      command: 'redis-server',
      args: [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        'no',
        '--dir',
        scene.directory,
      ],
    })
    await program.waitForLine(
      (line) => line.includes('Ready to accept connections'),
      START_DEADLINE_MS,
      'its readiness',
    )
    return program
  }
  let program = await start()

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    command: async (...words) => {
      const { stdout } = await run('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...words])
      return stdout.trimEnd()
    },
    pause: () => program.signal('SIGSTOP'),
    resume: () => program.signal('SIGCONT'),
    stop: async () => {
      program.signal('SIGCONT') // a stopped process hears no SIGTERM
      await program.stop()
    },
    restart: async () => {
      program = await start()
    },
  }
}
