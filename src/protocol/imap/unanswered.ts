/** The commands of a session that have no tagged answer yet (RFC 9051 2.2.2). */

/** Clients that fetch a mailbox message by message send some hundred commands at once. A larger value would only cost memory. */
const MAX_UNANSWERED = 1000

export type Command = {
  tag: string
  name: string
  /** of IDLE (RFC 2177) */
  continuation: 'none' | 'owed' | 'received'
}

/** RFC 4978, RFC 9051 6.2.1, RFC 4422 3.7: behind an OK to these the octets may be compressed or encrypted. */
export function makesOpaque(name: string): boolean {
  // A set would need the hash of each name.
  return name === 'COMPRESS' || name === 'STARTTLS' || name === 'AUTHENTICATE'
}

export class UnansweredCommands {
  readonly #commands: Command[] = []

  get isEmpty(): boolean {
    return this.#commands.length === 0
  }

  /** An IDLE that the back end has confirmed, and no other command. */
  get isIdling(): boolean {
    return this.#commands.length === 1 && this.#commands[0]?.continuation === 'received'
  }

  /** The tag of the only command, where its answer is all that is owed. */
  get soleTag(): string | undefined {
    const [command, another] = this.#commands
    return command?.continuation === 'none' && !another ? command.tag : undefined
  }

  /** @returns false where there are more than any client sends */
  add(command: Command): boolean {
    return this.#commands.push(command) <= MAX_UNANSWERED
  }

  /**
   * Takes a continuation for the first IDLE that waits for one: commands are answered in order, so it comes before that for the literal of
   * a later command. @returns false where no IDLE waits
   */
  confirmIdle(): boolean {
    const idle = this.#commands.find(({ continuation }) => continuation === 'owed')
    if (idle) idle.continuation = 'received'
    return idle !== undefined
  }

  /** @returns the command with this tag, which is answered now, or undefined where there is none */
  take(tag: string): Command | undefined {
    const commands = this.#commands
    // Most sessions have one: no search, and no array for the result.
    if (commands.length === 1) return commands[0]?.tag === tag ? commands.pop() : undefined
    const index = commands.findIndex((command) => command.tag === tag)
    return index === -1 ? undefined : commands.splice(index, 1)[0]
  }
}
