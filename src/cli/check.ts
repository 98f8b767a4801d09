// `portforward check`: the API server's verdict on documents, without a cluster. Each complaint is one line that begins with
// file:line:column, so that editors and CI can jump to it.
// Neighbours: contract/api/verdict.ts (the judge), documents.ts (files and places).
import { isPortForward, verdictOf } from '../contract/api/verdict.ts';
import { unreadableLines } from '../contract/known-hosts-lines.ts';
import { type FieldPath, type FileDocument, type Place, readDocuments } from './documents.ts';

export interface CheckOptions {
  readonly files: readonly string[];
  readonly output: 'text' | 'json';
  /** Prints one line; it has no line end. */
  readonly print: (line: string) => void;
}

interface Complaint extends Place {
  readonly path: string;
  readonly message: string;
}

/** The result for one document; also the form of `--output json`. */
export interface Verdict {
  readonly file: string;
  readonly line: number;
  /** `shop/orders-db`; a part that the document lacks is left out. */
  readonly name: string;
  readonly valid: boolean;
  readonly issues: readonly Complaint[];
  /** What the API server takes, and what will not do what its author thinks. */
  readonly warnings: readonly Complaint[];
}

/** Prints the verdicts; true if there is at least one PortForward and all are valid. @throws UsageError for unreadable files. */
export function check({ files, output, print }: CheckOptions): boolean {
  const { documents, complaints } = readDocuments(files);
  const verdicts: Verdict[] = [
    ...complaints.map(({ file, line, column, message }) => ({
      file,
      line,
      name: '',
      valid: false,
      issues: [{ line, column, path: '', message }],
      warnings: [],
    })),
    ...documents.filter(({ value }) => isPortForward(value)).map(judge),
  ];
  if (output === 'json') print(JSON.stringify(verdicts, undefined, 2));
  else for (const line of verdicts.flatMap(linesOf)) print(line);
  if (verdicts.length === 0 && output === 'text') {
    print(`no PortForward in ${files.join(', ')} (${documents.length} other documents)`);
  }
  return verdicts.length > 0 && verdicts.every(({ valid }) => valid);
}

/** What the API server would say about a document. */
export function judge(document: FileDocument): Verdict {
  const issues = verdictOf(document.value).map(({ path, message }) => ({
    ...document.placeOf(segmentsOf(path)),
    path,
    message,
  }));
  return {
    file: document.file,
    line: document.placeOf([]).line,
    name: nameOf(document.value),
    valid: issues.length === 0,
    issues: issues.toSorted((a, b) => a.line - b.line || a.column - b.column),
    warnings: warningsOf(document),
  };
}

/** Lines of knownHosts that no bastion can match: the tunnel skips them, as OpenSSH does. */
function warningsOf({ value, placeOf }: FileDocument): Complaint[] {
  const { spec } = value as { readonly spec?: { readonly ssh?: { readonly knownHosts?: unknown } | null } | null };
  const text = spec?.ssh?.knownHosts;
  if (typeof text !== 'string') return [];
  const path = 'spec.ssh.knownHosts';
  const place = placeOf(segmentsOf(path));
  return unreadableLines(text).map(({ number, why }) => ({
    ...place,
    path,
    message: `warning: line ${number} is skipped: ${why}`,
  }));
}

function linesOf(verdict: Verdict): string[] {
  const { file, line, name, valid, warnings } = verdict;
  const complaints = valid ? [`${file}:${line}: ${subjectOf(name)}valid`] : complaintLines(verdict);
  return [...complaints, ...complaintLines({ ...verdict, issues: warnings })];
}

/** One line for each complaint: place, document, field and fix. */
export function complaintLines({ file, name, issues }: Verdict): string[] {
  return issues.map(({ line: at, column, path, message }) => {
    const field = path === '' ? '' : `${path}: `;
    return `${file}:${at}:${column}: ${subjectOf(name)}${field}${message}`;
  });
}

const subjectOf = (name: string): string => (name === '' ? '' : `${name}: `);

/** `spec.ports[1].port` → `['spec', 'ports', 1, 'port']`; brackets hold an index, or a key that is not a plain word. */
export function segmentsOf(path: string): FieldPath {
  return [...path.matchAll(/\[([^\]]*)\]|[^.[\]]+/g)].map(([whole, bracketed]) => {
    if (bracketed === undefined) return whole;
    return /^\d+$/.test(bracketed) ? Number(bracketed) : bracketed;
  });
}

/** `shop/orders-db` of a document; a part that it lacks is left out. */
export function nameOf(value: unknown): string {
  const { metadata } = value as {
    readonly metadata?: { readonly name?: unknown; readonly namespace?: unknown } | null;
  };
  return [metadata?.namespace, metadata?.name].filter((part) => typeof part === 'string').join('/');
}
