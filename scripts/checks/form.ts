// The form of a file: its header, its constants, and the waits that have one owner.
// Neighbour: ../../oxlint.config.ts has the sizes and what else the linter can judge.
import type { Finding, Source } from './finding.ts';

const inProduct = (file: string): boolean => file.startsWith('src/') && !file.startsWith('src/process/');

const rules: ReadonlyArray<{
  readonly applies: (file: string) => boolean;
  readonly pattern: RegExp;
  readonly message: string;
}> = [
  {
    applies: inProduct,
    pattern: /\bAbortSignal\.(timeout|any)\b/,
    message: 'AbortSignal.timeout and .any leave something behind: use deadline() or anyOf() of src/process/',
  },
  {
    applies: inProduct,
    pattern: /\baddEventListener\(\s*'abort'/,
    message: 'an abort listener of its own: use onAbort, aborted or abortable of src/process/abort.ts',
  },
  {
    applies: () => true,
    pattern: /^\s*(?:export )?(?:const|static readonly) [A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b(?=\s*[=:])/,
    message: 'a constant in capitals: name it in camelCase',
  },
];

export function formFindings({ file, text }: Source): Finding[] {
  const findings = rules
    .filter(({ applies }) => applies(file))
    .flatMap(({ pattern, message }) =>
      text.split('\n').flatMap((content, index) => (pattern.test(content) ? [{ file, line: index + 1, message }] : [])),
    );
  if (text.startsWith('//') || text.startsWith('#!')) return findings;
  const missing = !file.startsWith('test/') || text.startsWith('/*');
  const message = 'the file has no // header: say in it what its role is and which files are its neighbours';
  return missing ? [{ file, line: 1, message }, ...findings] : findings;
}
