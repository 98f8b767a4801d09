// The verdict of `portforward check` on one parsed YAML document, as the API server would give it: which kind it is, then schema and rules.
// Pure: src/cli/ reads the files, splits them into documents and prints.
// Neighbours: parse.ts, src/cli/.
import { apiVersion, group, kind } from './names.ts';
import { type Issue, parsePortForward } from './parse.ts';

/** Complaints about one document, none if the API server would take it. */
export function verdictOf(document: unknown): readonly Issue[] {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return [
      { path: '', message: `the document is not an object: a PortForward begins with apiVersion: ${apiVersion}` },
    ];
  }
  const { apiVersion: givenVersion, kind: givenKind } = document as Record<string, unknown>;
  if (givenVersion !== apiVersion) return [{ path: 'apiVersion', message: versionSentence(givenVersion) }];
  if (givenKind !== kind) return [{ path: 'kind', message: `must be ${kind}${given(givenKind)}` }];
  const parsed = parsePortForward(document);
  return parsed.ok ? [] : parsed.issues;
}

/** True for a document that is meant to be ours; a file may hold Secrets and others beside. */
export function isPortForward(document: unknown): boolean {
  if (typeof document !== 'object' || document === null) return false;
  const { apiVersion: givenVersion, kind: givenKind } = document as Record<string, unknown>;
  return givenKind === kind || (typeof givenVersion === 'string' && givenVersion.startsWith(`${group}/`));
}

const given = (value: unknown): string => (typeof value === 'string' ? `, not ${value}` : '');

const versionSentence = (value: unknown): string => `must be ${apiVersion}${given(value)}`;
