// `kubectl portforward reconnect`, `suspend` and `resume`: one change of one field, as a person would make it with kubectl.
// Neighbours: plugin-command.ts, contract/api/names.ts (the annotation).
import type { Command } from 'commander';
import { reconnectAnnotation } from '../../contract/api/names.ts';
import type { Kubectl } from './kubectl.ts';
import { addCommand, kubectlOf, type Output, resource, tunnelName } from './plugin-command.ts';

interface Changed {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

export function addChanges(program: Command, { print }: Output): void {
  const change =
    (patch: () => object, done: string) =>
    async (word: string, _flags: unknown, used: Command): Promise<void> => {
      const name = tunnelName(word);
      const kubectl = kubectlOf(used);
      const changed = await patched(kubectl, name, patch());
      print(`${name}: ${done}`);
      const owner = gitOpsOwner(changed);
      if (owner !== undefined)
        print(`${name}: ${owner} manages this document and may undo the change: make it in Git as well`);
      print(`kubectl portforward status ${name} -w${kubectl.sameFlags} follows`);
    };
  const restart = () => ({ metadata: { annotations: { [reconnectAnnotation]: new Date().toISOString() } } });
  addCommand(
    program,
    'reconnect <name>',
    'replace the tunnel’s pods one after the other; open connections are drained',
  ).action(change(restart, 'its pods are replaced one after the other, and no client is refused meanwhile'));
  addCommand(program, 'suspend <name>', 'end the tunnel’s pods and keep its Service').action(
    change(() => ({ spec: { suspend: true } }), 'suspended: its pods drain and end, its Service stays'),
  );
  addCommand(program, 'resume <name>', 'start a suspended tunnel again').action(
    change(() => ({ spec: { suspend: false } }), 'resumed: its pods start'),
  );
}

async function patched(kubectl: Kubectl, name: string, patch: object): Promise<Changed> {
  return await kubectl.json<Changed>(['patch', resource, name, '--type=merge', `--patch=${JSON.stringify(patch)}`]);
}

/** Who applies the document from Git, by the marks that it leaves; undefined if there are none. */
function gitOpsOwner({ metadata: { annotations = {}, labels = {} } }: Changed): string | undefined {
  if (annotations['argocd.argoproj.io/tracking-id'] !== undefined) return 'Argo CD';
  if (labels['kustomize.toolkit.fluxcd.io/name'] !== undefined || labels['helm.toolkit.fluxcd.io/name'] !== undefined)
    return 'Flux';
  return labels['app.kubernetes.io/managed-by'] === 'Helm' ? 'Helm' : undefined;
}
