// One name, one type: a type's name that two files of src/ export leaves the reader to guess which one is meant.
import type { Finding, Source } from './finding.ts';

const exported = /^export (?:abstract )?(?:interface|type|class|enum) (\w+)/gm;

export function typeNameFindings(sources: readonly Source[]): Finding[] {
  const owners = new Map<string, string>();
  return sources.flatMap(({ file, text }) =>
    [...text.matchAll(exported)].flatMap(({ index, 1: name = '' }) => {
      const first = owners.get(name);
      owners.set(name, first ?? file);
      if (first === undefined || first === file) return [];
      const line = text.slice(0, index).split('\n').length;
      return [{ file, line, message: `the type ${name} is also exported by ${first}: rename one, or share it` }];
    }),
  );
}
