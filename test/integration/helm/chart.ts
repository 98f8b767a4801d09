// Renders the chart with the pinned Helm, as the API server of the tests would get it.
// Neighbours: chart.test.ts, admission.test.ts.
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { cachedProgram } from '../../../lab/base/places.ts';
import { command } from '../../../lab/process/command.ts';
import { ensurePrograms, kubernetesVersion } from '../../../lab/programs/programs.ts';

export const root = join(import.meta.dirname, '..', '..', '..');
const release = 'portforward';
export const namespace = 'portforward-system';
/** Who the controller is, as the chart of that release makes it. */
export const controllerUser = `system:serviceaccount:${namespace}:${release}`;

export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

/** `helm …` in the root of the project. @throws CommandFailed with what Helm said. */
export async function helm(args: readonly string[]): Promise<string> {
  await ensurePrograms(['helm'], { log: (line) => process.stderr.write(`${line}\n`) });
  return command(cachedProgram('helm'), args, { cwd: root });
}

/** The rendered YAML for these `--set` and `--set-string` values, without what `helm test` makes. */
export const renderText = (
  values: readonly string[] = [],
  into: string = namespace,
  named: string = release,
  texts: readonly string[] = [],
): Promise<string> => template(named, ['--namespace', into, '--skip-tests'], values, texts);

/** The same with what `helm test` makes. */
export const renderWithTests = (
  values: readonly string[] = [],
  into: string = namespace,
  named: string = release,
  texts: readonly string[] = [],
): Promise<string> => template(named, ['--namespace', into], values, texts);

async function template(
  named: string,
  options: readonly string[],
  values: readonly string[],
  texts: readonly string[],
): Promise<string> {
  const set = [...values.flatMap((value) => ['--set', value]), ...texts.flatMap((value) => ['--set-string', value])];
  return helm(['template', named, './helm', '--kube-version', kubernetesVersion, ...options, ...set]);
}

/** The rendered objects for these `--set` values. */
export const render = async (values: readonly string[] = []): Promise<Rendered[]> =>
  objectsOf(await renderText(values));

/** What `helm test` makes with these `--set` values. */
export async function renderTests(values: readonly string[] = []): Promise<Rendered[]> {
  const objects = objectsOf(await renderWithTests(values));
  return objects.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === 'test');
}

function objectsOf(text: string): Rendered[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => document.toJS() as Rendered | null).filter((object) => object !== null);
}

/** The objects of a kind. */
export const ofKind = (objects: readonly Rendered[], kind: string): Rendered[] =>
  objects.filter((object) => object.kind === kind);
