// `portforward from -- COMMAND`: the PortForward that does what a person does by hand today. The command is read, never run.
// Neighbours: translate.ts (reads it), print.ts, check.ts (judges the document); ../../main.ts opens it.
import { complaintLines, judge } from '../check.ts';
import { parseDocuments } from '../documents.ts';
import { Kubectl } from '../kubectl/kubectl.ts';
import { UsageError } from '../usage-error.ts';
import { thisMachine } from './machine.ts';
import type { FromOptions } from './outcome.ts';
import { documentText, outcomeLines, secretLines } from './print.ts';
import { translate } from './translate.ts';

interface FromCommand extends FromOptions {
  /** The command and its words. */
  readonly words: readonly string[];
  /** Applies the document to the cluster of `context`. */
  readonly apply: boolean;
  readonly context: string | undefined;
  readonly print: (line: string) => void;
  /** Prints a line beside the document, to standard error. */
  readonly note: (line: string) => void;
}

/** What `open` needs to open the document at once, on the local ports of the command. */
export interface Openable {
  readonly document: string;
  /** Secret → key → file. */
  readonly secretFiles: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** `LOCAL:PORT` */
  readonly ports: readonly string[];
}

/**
 * Prints the document, and beside it the Secret's command and what became of each option; applies it if that was asked for.
 * @throws UsageError for a command that is not understood as a whole, KubectlFailed
 */
export async function from(command: FromCommand): Promise<Openable> {
  const { words, apply, context, print, note, namespace } = command;
  if (apply && context === undefined)
    throw new UsageError('--apply needs --context NAME: the current context of the kubeconfig is never used here');
  if (!apply && context !== undefined) throw new UsageError('--context is for --apply');
  const translation = translate(words, { ...command, machine: thisMachine() });
  const document = documentText(translation);
  const { documents } = parseDocuments('the document', document);
  const complaints = documents.flatMap((each) => complaintLines(judge(each)));
  if (complaints.length > 0) throw new UsageError(`this command makes no valid document:\n${complaints.join('\n')}`);
  print(document.trimEnd());
  const flags = context === undefined ? '' : ` --context=${context}`;
  const lines = secretLines(translation.secrets, namespace, flags);
  if (lines.length > 0) for (const line of ['', 'The Secret:', ...lines.map((each) => `  ${each}`)]) note(line);
  for (const line of outcomeLines(translation.outcomes)) note(line);
  if (apply && context !== undefined) {
    const kubectl = new Kubectl([`--context=${context}`]);
    note('');
    const written = '--output=go-template={{.metadata.name}} -n {{.metadata.namespace}}';
    const where = (await kubectl.text(['apply', '--filename=-', written], document)).trim();
    note(`Applied. Follow it: kubectl portforward status ${where} --context=${context}`);
    if (lines.length > 0) note('Its pods wait for the Secret above, in the same namespace.');
  }
  return {
    document,
    secretFiles: new Map(translation.secrets.map(({ name, files }) => [name, files])),
    ports: [...translation.localPorts].map(([port, local]) => `${local}:${port}`),
  };
}
