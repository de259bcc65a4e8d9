/** The arguments of `mailmux check` and `mailmux schema`. */
import { Argument, type Command } from 'commander'
import type { Probe } from './check.ts'
import type { HandoverFacts } from './handover-check.ts'
import type { CommandParts } from './command-parts.ts'

export type ConfigurationCommandParts = CommandParts & {
  handover: HandoverFacts
  loadProbe: () => Promise<Probe>
  /** Ends the process as soon as its output is written. */
  endNow: () => void
  /** Writes text that ends with a line feed, or has several lines. */
  printText: (text: string) => void
}

type CheckOptions = {
  config: string
  probe?: true
  strict?: true
  diff?: true
  admin?: string
  tokenFile?: string
  json?: true
}

export function addConfigurationCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith, handover, loadProbe, endNow, printText }: ConfigurationCommandParts,
): void {
  program
    .command('check')
    .description('check the configuration: each error with its line and a caret; exit code 0 or 1')
    .addOption(configOption())
    .option('--strict', 'take warnings for errors')
    .option('--diff', 'ask the running mailmux what a reload would change, and who would notice it')
    .option('--admin <address>', 'with --diff: where the running mailmux answers, if the files have another address')
    .option('--token-file <file>', 'with --admin: its token, if the files have another one')
    .option('--probe', 'also connect to the directory and to each back end, and see whether the ports are free')
    .option('--json', 'one JSON document: all that is found, with the answers of --probe and --diff')
    .addHelpText(
      'after',
      '\n--probe takes up to about 10 seconds, logs in to nothing but Redis, and writes nothing.\nExit codes: 0 no error (warnings or not), 1 errors, or warnings with --strict. With --diff: 0 a reload would change nothing, 1 errors, 2 no answer, 3 it would change something, 69 no mailmux is running.\nExample: mailmux check --probe -c /etc/mailmux/mailmux.yaml',
    )
    .action(async ({ config, probe, strict, diff: isDiff, json, ...running }: CheckOptions) => {
      const { check, checkInJson } = await import('./check.ts')
      const { diff } = await import('./check-diff.ts')
      const isStrict = strict === true
      const probing = probe ? await loadProbe() : undefined
      if (json) {
        const compare = (take: Parameters<typeof diff>[3]): Promise<number> => diff(config, terminal, running, take)
        exitWith(await checkInJson(config, terminal, probing, { isStrict, compare: isDiff ? compare : undefined }))
      } else {
        const code = await check(config, terminal.env, terminal.out, probing, { isStrict })
        exitWith(isDiff && code === 0 ? await diff(config, terminal, running) : code)
      }
      if (probe) endNow()
    })

  program
    .command('handover-check', { hidden: true })
    .description('for the running mailmux, before an upgrade: whether this version can take over')
    .addOption(configOption())
    .action(async ({ config }: { config: string }) => {
      const { checkHandover } = await import('./handover-check.ts')
      exitWith(checkHandover(config, handover, terminal))
    })

  program
    .command('schema')
    .description('print the JSON Schema of a configuration file, for editors')
    .addArgument(new Argument('[file]', 'which one').choices(['mailmux', 'routing']).default('mailmux'))
    .exitOverride(exitAsUsage)
    .addHelpText(
      'after',
      '\nExit codes: 0 printed, 2 wrong usage.\nExample: mailmux schema routing > routing.schema.json',
    )
    .action(async (file: 'mailmux' | 'routing') => {
      const { schemaText } = await import('./schema.ts')
      printText(schemaText(file))
    })
}
