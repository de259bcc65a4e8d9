/** `mailmux completion`: prints the completion script for a shell. */
import { Argument, type Command } from 'commander'
import type { CommandParts } from '../command-parts.ts'
import { readCommandTree } from './command-tree.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

export function addCompletionCommand(
  program: Command,
  { exitAsUsage, printText }: CommandParts & { printText: (text: string) => void },
): void {
  program
    .command('completion')
    .exitOverride(exitAsUsage)
    .description('print the script by which a shell completes commands, options and the names of back ends')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .addHelpText(
      'after',
      '\nThe Debian package has installed these scripts. Without it, a shell reads one when it starts:\n  bash: source <(mailmux completion bash)              in ~/.bashrc\n  zsh:  source <(mailmux completion zsh)               in ~/.zshrc, behind compinit\n  fish: mailmux completion fish > ~/.config/fish/completions/mailmux.fish\nExit codes: 0 printed, 2 wrong usage.\nExample: mailmux completion bash > /etc/bash_completion.d/mailmux',
    )
    .action(async (shell: Shell) => printText(await completionScript(program, shell)))
}

/** Exported for its test. */
export async function completionScript(program: Command, shell: Shell): Promise<string> {
  const { listWords } = await import('./words.ts')
  const words = listWords(readCommandTree(program))
  switch (shell) {
    case 'bash':
      return (await import('./bash.ts')).bashScript(program.name(), words)
    case 'zsh':
      return (await import('./zsh.ts')).zshScript(program.name(), words)
    case 'fish':
      return (await import('./fish.ts')).fishScript(program.name(), words)
  }
}
