/** Manual pages in the macros of man(7). Pure. */

export type Page = {
  name: string
  /** 1: commands, 5: files */
  section: 1 | 5
  /** of its last change, such as `2026-11-30` */
  date: string
  version: string
  /** one line, for apropos(1) */
  summary: string
  /** the lines of each part, under its heading */
  parts: readonly { heading: string; lines: readonly string[] }[]
}

export function formatPage({ name, section, date, version, summary, parts }: Page): string {
  const lines = [
    `.TH ${quoted(name.toUpperCase())} ${section} ${date} ${quoted(`mailmux ${version}`)} ${quoted('mailmux manual')}`,
    '.SH NAME',
    `${escape(name)} \\- ${escape(summary)}`,
    // A heading begins a paragraph of its own.
    ...parts.flatMap(({ heading, lines: own }) =>
      own.length === 0 ? [] : [`.SH ${heading}`, ...(own[0] === '.PP' ? own.slice(1) : own)],
    ),
  ]
  return `${lines.join('\n')}\n`
}

/** A paragraph; text in backquotes is in bold type, as what is typed as it stands. */
export function paragraph(text: string): string[] {
  return ['.PP', inline(text)]
}

/** A term, and its explanation under it. */
export function item(term: string, text: string): string[] {
  return ['.TP', term, inline(text === '' ? '-' : text)]
}

/** Lines as they stand, indented. */
export function verbatim(lines: readonly string[]): string[] {
  return ['.PP', '.RS 4', '.nf', ...lines.map((line) => escape(line)), '.fi', '.RE']
}

export const bold = (text: string): string => `\\fB${escapeInside(text)}\\fR`
export const italic = (text: string): string => `\\fI${escapeInside(text)}\\fR`

/** Options in bold and their placeholders in italic, as in `-c, --config <file>`. */
export function formatFlags(flags: string): string {
  return flags
    .split(/([<[][^>\]]+[>\]])/u)
    .map((part) => (/^[<[]/u.test(part) ? placeholder(part) : part.replace(/-[\w-]+/gu, bold)))
    .join('')
}

/** `<file>` in italic; `[file]` too, and in brackets. */
export function placeholder(written: string): string {
  const name = italic(written.slice(1, -1))
  return written.startsWith('[') ? '['.concat(name, ']') : name
}

function inline(text: string): string {
  const formatted = text
    .split(/`([^`]+)`/u)
    .map((part, index) => (index % 2 === 1 ? bold(part) : escapeInside(part)))
    .join('')
  return protect(formatted)
}

function escape(text: string): string {
  return protect(escapeInside(text))
}

function escapeInside(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('\n', ' ')
    .replaceAll("'", '\\(aq')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
}

/** A line that begins with a dot or an apostrophe would be a macro. */
function protect(line: string): string {
  return /^[.']/u.test(line) ? `\\&${line}` : line
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '')}"`
}
