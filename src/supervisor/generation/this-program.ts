/** How an upgrade starts a version of the program that runs. */
import { describeRuntime } from '../../runtime.ts'
import type { Program } from './successor.ts'
import type { UpgradeProgram } from './upgrades.ts'

type ThisProcess = Pick<NodeJS.Process, 'execPath' | 'execArgv' | 'argv' | 'pid' | 'getuid' | 'versions'>

/** The path by which the program was started may lead to another version by now. */
export function programOf(self: ThisProcess, configFile: string): UpgradeProgram {
  const { execPath, execArgv, argv } = self
  const [, script = ''] = argv
  const withArgs = (file: string | undefined, ...args: string[]): Program =>
    file === undefined ? { command: execPath, args: [...execArgv, script, ...args] } : { command: file, args }
  return {
    check: (file) => withArgs(file, 'handover-check', '-c', configFile),
    run: (file) => withArgs(file, 'run', '--take-over', '-c', configFile),
    whyNot: whyNot(self),
    uid: self.getuid?.() ?? 0,
  }
}

function whyNot({ pid, versions }: Pick<ThisProcess, 'pid' | 'versions'>): string | undefined {
  if (describeRuntime(versions).name === 'bun')
    return 'Bun cannot pass on open ports: start the new version by `mailmux run --replace`'
  return pid === 1 ? 'this is process 1, with which a container ends: replace the container' : undefined
}
