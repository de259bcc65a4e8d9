/** All commands but `run`, which main.ts has. Help, shell completion and man pages come from this tree. */
import type { Command } from 'commander'
import { addAdminOptions } from './admin-options.ts'
import { addBackendCommands } from './backend-commands.ts'
import { addBlockCommands } from './blocks.ts'
import { addCompletionCommand } from './completion/completion.ts'
import { addConfigurationCommands, type ConfigurationCommandParts } from './configuration-commands.ts'
import { addDrainCommand } from './drain.ts'
import type { PasswordTerminal } from './explain.ts'
import { addInstancesCommand } from './instances.ts'
import { addLogLevelCommand } from './log-level.ts'
import { addManCommand } from './man/man.ts'
import { addMoveCommands, type MoveCommandParts } from './move-commands.ts'
import { addQuestionCommands } from './question-commands.ts'
import { addReloadCommand } from './reload.ts'
import { addRouteCommands, type RouteCommandParts } from './routes/commands.ts'
import { addSessionCommands } from './session-commands.ts'
import { addTraceCommand, type TraceParts } from './trace.ts'
import { addTopCommand, type TopParts } from './top/top.ts'
import { addUpgradeCommand } from './upgrade.ts'

export type AllCommandParts = ConfigurationCommandParts &
  MoveCommandParts &
  RouteCommandParts &
  TraceParts &
  TopParts &
  Pick<PasswordTerminal, 'readPassword'>

export function addCommands(program: Command, parts: AllCommandParts): void {
  addConfigurationCommands(program, parts)
  addQuestionCommands(program, parts)
  addRouteCommands(program, parts)
  addSessionCommands(program, parts)
  addBlockCommands(program, parts)
  addBackendCommands(program, parts)
  addInstancesCommand(program, parts)
  addUpgradeCommand(program, parts)
  addDrainCommand(program, parts)
  addReloadCommand(program, parts)
  addMoveCommands(program, parts)
  addTraceCommand(program, parts)
  addTopCommand(program, parts)
  addLogLevelCommand(program, parts)
  addCompletionCommand(program, parts)
  addManCommand(program, parts)
  addAdminOptions(program, parts.terminal)
  program.exitOverride(parts.exitAsUsage) // last: each command has inherited what it had before
}
