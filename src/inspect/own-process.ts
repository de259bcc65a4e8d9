/** Whether another process is a mailmux that runs with a given configuration, as Linux's /proc tells. */
import { readFile, readlink, realpath } from 'node:fs/promises'
import path from 'node:path'

/** As `main.ts` has it. */
const DEFAULT_CONFIG = '/etc/mailmux/mailmux.yaml'

/** @param mainFile absolute. @returns false also where it cannot be found out */
export async function runsConfiguration(pid: number, mainFile: string): Promise<boolean> {
  const command = await commandOf(pid)
  if (command?.name === 'worker') {
    const supervisor = await parentOf(pid)
    return supervisor !== undefined && (await runsFile(supervisor, await commandOf(supervisor), mainFile))
  }
  return runsFile(pid, command, mainFile)
}

type Command = { name: string; options: string[] }

async function runsFile(pid: number, command: Command | undefined, mainFile: string): Promise<boolean> {
  if (command?.name !== 'run') return false
  const file = configOf(command.options) ?? DEFAULT_CONFIG
  try {
    const directory = await readlink(`/proc/${pid}/cwd`)
    return (await realpath(path.resolve(directory, file))) === (await realpath(mainFile))
  } catch {
    return false
  }
}

/** @returns the command of a mailmux and what follows it; undefined where the process is no mailmux */
async function commandOf(pid: number): Promise<Command | undefined> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  const script = words.findIndex((word) => /(?:^|\/)(?:main\.[jt]s|mailmux)$/u.test(word))
  const name = script === -1 ? undefined : words[script + 1]
  return name === undefined ? undefined : { name, options: words.slice(script + 2) }
}

function configOf(options: readonly string[]): string | undefined {
  const at = options.findIndex((option) => option === '-c' || option === '--config')
  if (at !== -1) return options[at + 1]
  return options.map((option) => /^(?:-c|--config=)(?<file>.+)$/u.exec(option)?.groups?.file).find(Boolean)
}

async function parentOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const [, parent] = /^PPid:\s*(\d+)$/mu.exec(status) ?? []
  return parent === undefined ? undefined : Number(parent)
}
