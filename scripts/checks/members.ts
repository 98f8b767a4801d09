// Members that nobody reads: a member of an exported interface or class of src/ that no file of src/ reads is dead, or there only for tests.
// It goes by the text: a read is `.name`, `?.name`, `['name']`, or the name in a destructuring pattern.
// Neighbour: knip finds exports that nobody imports.
import type { Finding, Source } from './finding.ts';

interface Member {
  readonly owner: string;
  readonly name: string;
  readonly line: number;
}

const opening = /^export (?:abstract )?(?:interface|class) (\w+)/;
const memberStart = /^ {2}(?:readonly |static |async |get |set )*(\w+)\??(?:: |\(|<|;| = )/;

/** The public members of a file's exported interfaces and classes; what a base class or a library calls (`override`) is not judged. */
function membersOf(text: string): Member[] {
  let owner: string | undefined;
  return text.split('\n').flatMap((content, index) => {
    owner = opening.exec(content)?.[1] ?? (content.startsWith('}') ? undefined : owner);
    const name = memberStart.exec(content)?.[1];
    if (owner === undefined || name === undefined || name === 'constructor') return [];
    return [{ owner, name, line: index + 1 }];
  });
}

const dotted = /\.(\w+)/g;
const quoted = /\['([\w-]+)'\]/g;
/** Braces, with at most one more level in them, that something is taken out of: a declaration, a parameter, a loop. */
const pattern = /(?:const|let|[(,])\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*(?:=(?![=>])|:|\)|,|of\b)/g;

function namesRead(text: string): string[] {
  const names = [...text.matchAll(dotted), ...text.matchAll(quoted)].map(([, name = '']) => name);
  const taken = [...text.matchAll(pattern)].flatMap(([, inside = '']) => inside.match(/\w+/g) ?? []);
  return [...names, ...taken];
}

/** `exceptions` names members as `Owner.member`, each with who reads it. */
export function memberFindings(sources: readonly Source[], exceptions: Readonly<Record<string, string>>): Finding[] {
  const read = new Set(sources.flatMap(({ text }) => namesRead(text)));
  const members = sources.flatMap(({ file, text }) => membersOf(text).map((member) => ({ file, ...member })));
  const names = new Set(members.map(({ owner, name }) => `${owner}.${name}`));
  return [
    ...members
      .filter(({ owner, name }) => !read.has(name) && exceptions[`${owner}.${name}`] === undefined)
      .map(({ file, line, owner, name }) => ({
        file,
        line,
        message: `nothing in src/ reads ${owner}.${name}: delete it, or add it with its reader to scripts/checks/member-exceptions.ts`,
      })),
    ...Object.keys(exceptions)
      .filter((name) => !names.has(name))
      .map((name) => ({
        file: 'scripts/checks/member-exceptions.ts',
        message: `${name} does not exist any more: delete its row`,
      })),
  ];
}
