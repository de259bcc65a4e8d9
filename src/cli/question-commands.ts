/** The arguments of `mailmux health` and `mailmux explain`. */
import { Option, type Command } from 'commander'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import type { CommandParts } from './command-parts.ts'
import { explain, type ExplainOptions, type PasswordTerminal } from './explain.ts'
import { health } from './health.ts'

export function addQuestionCommands(
  program: Command,
  {
    configOption,
    terminal,
    exitAsUsage,
    exitWith,
    readPassword,
  }: CommandParts & Pick<PasswordTerminal, 'readPassword'>,
): void {
  program
    .command('health')
    .description('ask the running mailmux whether it serves: for the health check of a container')
    .addOption(configOption())
    .option(
      '--json',
      'the same for machines: ready, the text of /readyz, and failing, the addresses of back ends that fail',
    )
    .addHelpText(
      'after',
      '\nStandard error names each address of a back end that fails, with its cause and the next step. The exit code does not depend on them.\nExit codes: 0 it serves, 1 it does not serve (yet, or any more) or gives no answer, 2 wrong usage, or no `admin` in the configuration.\nExample: mailmux health -c /etc/mailmux/mailmux.yaml',
    )
    .exitOverride(exitAsUsage)
    .action(async (options: { config: string; json?: true }) => exitWith(await health(options, terminal)))

  program
    .command('explain')
    .description('ask the running mailmux where a login would go, and why: every decision on the way')
    .argument('<user>', 'as typed into a mail client')
    .addOption(configOption())
    .addOption(new Option('--protocol <protocol>', 'default: that of the first listener').choices(PROTOCOL_NAMES))
    .option('--listener <name>', 'the listener that the client comes to; default: the first of the protocol')
    .option('--sni <name>', 'the server name that the client asks for in TLS')
    .option('--ip <address>', 'the address of mailmux that the client comes to')
    .option('--login', 'log in as well, with the password that is typed, or piped into standard input')
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\n--login needs the admin socket, or a token with the right operate, and changes what a login changes: a new user is placed.\nExit codes: 0 a login gets to a back end (with --login: is accepted there), 1 it does not, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux explain alice@example.test --protocol imap',
    )
    .exitOverride(exitAsUsage)
    .action(async (user: string, options: ExplainOptions) =>
      exitWith(await explain(user, options, { ...terminal, readPassword })),
    )
}
