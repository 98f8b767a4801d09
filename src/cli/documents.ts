// YAML files → documents with the place of every field, read as kubectl reads them: several documents to a file, Lists unfolded,
// directories by their *.yaml, *.yml and *.json files, `-` for standard input.
// Neighbours: check.ts (judges them), open.ts (takes the PortForward and the Secrets out of them).
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, isNode, LineCounter, parseAllDocuments, type ScalarTag, type Tags } from 'yaml';
import { UsageError } from './usage-error.ts';

export type FieldPath = readonly (string | number)[];

/** A line and column of a file, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One object of a file. */
export interface FileDocument {
  /** The file as the user named it, `-` for standard input. */
  readonly file: string;
  readonly value: unknown;
  /** The place of a field, or of the nearest field around it that the file has. */
  readonly placeOf: (path: FieldPath) => Place;
}

/** A file, or a part of one, that is not YAML. */
interface SyntaxComplaint extends Place {
  readonly file: string;
  readonly message: string;
}

export interface Documents {
  readonly documents: readonly FileDocument[];
  readonly complaints: readonly SyntaxComplaint[];
}

/** The objects of all files in their order. @throws UsageError if a file cannot be read. */
export function readDocuments(paths: readonly string[]): Documents {
  const documents: FileDocument[] = [];
  const complaints: SyntaxComplaint[] = [];
  for (const file of paths.flatMap(filesOf)) {
    const found = parseDocuments(file, read(file));
    documents.push(...found.documents);
    complaints.push(...found.complaints);
  }
  return { documents, complaints };
}

/** The objects of one file's text. */
export function parseDocuments(file: string, text: string): Documents {
  const lines = new LineCounter();
  const documents: FileDocument[] = [];
  const complaints: SyntaxComplaint[] = [];
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  // YAML 1.1, as kubectl reads it: there `on` is true and 0777 is octal.
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    version: '1.1',
    customTags: kubectlTags,
    prettyErrors: false,
  });
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const [error] = document.errors;
    if (error !== undefined) {
      complaints.push({ file, ...at(error.pos[0]), message: `is not YAML: ${error.message}` });
      continue;
    }
    if (document.contents === null) continue;
    try {
      documents.push(...unfold(file, document, at));
    } catch (cause) {
      // An alias without its anchor, or so many aliases that the document would fill the memory.
      const message = cause instanceof Error ? cause.message : String(cause);
      complaints.push({ file, ...at(offsetOf(document, [])), message: `is not YAML: ${message}` });
    }
  }
  return { documents, complaints };
}

/** kubectl also accepts octal numbers of YAML 1.2, and keeps times of day and dates as text. */
function kubectlTags(tags: Tags): Tags {
  const known = tags.filter(
    (tag) =>
      typeof tag === 'string' || (!('format' in tag && tag.format === 'TIME') && !tag.tag.endsWith(':timestamp')),
  );
  return [octal, ...known];
}

const octal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  identify: () => false,
  test: /^[-+]?0o[0-7]+$/,
  resolve: (text) => (text.startsWith('-') ? -1 : 1) * Number.parseInt(text.replace(/^[-+]?0o/, ''), 8),
};

function unfold(file: string, document: Document, at: (offset: number) => Place): FileDocument[] {
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  const placed = (base: FieldPath) => (path: FieldPath) => at(offsetOf(document, [...base, ...path]));
  if (!isList(value)) return value === null ? [] : [{ file, value, placeOf: placed([]) }];
  return value.items.map((item, index) => ({ file, value: item, placeOf: placed(['items', index]) }));
}

function offsetOf(document: Document, path: FieldPath): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  const { contents } = document;
  return isNode(contents) && contents.range ? contents.range[0] : 0;
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  if (typeof value !== 'object' || value === null) return false;
  const { apiVersion, kind, items } = value as Record<string, unknown>;
  return apiVersion === 'v1' && kind === 'List' && Array.isArray(items);
}

function filesOf(path: string): string[] {
  if (path === '-') return ['-'];
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => /\.(ya?ml|json)$/.test(name))
      .toSorted()
      .map((name) => join(path, name));
  } catch (cause) {
    throw new UsageError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new UsageError(`cannot read ${file}: ${reasonOf(cause)}`, { cause });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a directory',
};

function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? message;
}
