/** The commands of mailmux, without the process that they belong to. */
import { Command, Option } from 'commander'
import { addCommands } from '../../src/cli/commands.ts'

const unused = (): never => {
  throw new Error('no command is run')
}

/** All commands but `run`, which src/main.ts declares. */
export function buildCommands(): Command {
  const program = new Command('mailmux').version('0.0.0').enablePositionalOptions()
  addCommands(program, {
    configOption: () => new Option('-c, --config <file>', 'the main configuration file').default('mailmux.yaml'),
    terminal: { env: {}, out: unused, printError: unused },
    exitAsUsage: unused,
    exitWith: unused,
    handover: { mailmux: '0.0.0', handover: 0 },
    loadProbe: unused,
    endNow: unused,
    printText: unused,
    write: unused,
    readPassword: unused,
    onInterrupt: unused,
    interrupted: unused,
    stdin: unused,
    screen: unused,
    showProgress: undefined,
  })
  return program
}
