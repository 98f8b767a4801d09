// One Application of a real Argo CD: the documents of examples/argo-cd/ with the test's own repository in the place of a team's.
// Neighbours: argo-cd.ts; test/cluster/argo-cd.test.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { eventually } from '../../../lab/base/eventually.ts';
import type { Cluster } from '../../../lab/cluster/cluster.ts';
import { type ArgoCd, argoCdNamespace } from './argo-cd.ts';

interface Resource {
  readonly kind: string;
  readonly name: string;
  readonly status: string;
  readonly syncWave?: number;
  readonly health?: { readonly status: string; readonly message?: string };
}

/** What Argo CD's API answers about an Application. */
export interface ApplicationState {
  readonly status: {
    readonly sync: { readonly status: string; readonly revision?: string; readonly revisions?: readonly string[] };
    readonly health: { readonly status: string };
    readonly resources?: readonly Resource[];
    readonly conditions?: readonly { readonly type: string; readonly message: string }[];
    readonly operationState?: {
      readonly phase: string;
      readonly message?: string;
      readonly syncResult?: { readonly resources?: readonly { readonly kind: string; readonly name: string }[] };
    };
  };
}

interface Document {
  readonly metadata: { name: string; namespace: string; annotations: Record<string, string> };
  readonly spec: Record<string, unknown>;
}

/** A document of examples/argo-cd/, changed by `change`. */
export function exampleApplication(file: string, change: (document: Document) => void): object {
  const example = join(import.meta.dirname, '../../../examples/argo-cd', file);
  const document = parse(readFileSync(example, 'utf8')) as Document;
  change(document);
  return document;
}

export class Application {
  readonly name: string;
  readonly #argoCd: ArgoCd;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster, argoCd: ArgoCd, name: string) {
    this.#cluster = cluster;
    this.#argoCd = argoCd;
    this.name = name;
  }

  async apply(document: object): Promise<void> {
    await this.#cluster.kubectl(['apply', '--filename', '-'], { input: stringify(document) });
  }

  /** As its command line prints it, after it has looked at Git again; `hard` renders the documents anew, too. */
  async get(refresh: 'refresh' | 'hard-refresh' | 'none' = 'none'): Promise<ApplicationState> {
    const asked = refresh === 'none' ? [] : [`--${refresh}`];
    return JSON.parse(await this.cli(['get'], [...asked, '--output', 'json'])) as ApplicationState;
  }

  /** `argocd app <words> NAME <args>` */
  cli(words: readonly string[], args: readonly string[] = []): Promise<string> {
    return this.#argoCd.cli(['app', ...words, this.name, ...args]);
  }

  /** Resolves once Argo CD has made the commit's state the cluster's. @throws AssertionError with what it said instead. */
  async synced(revision: string, withinMs = 60_000): Promise<void> {
    await this.#until(`${revision} is synced`, withinMs, ({ status: { sync, operationState } }) => {
      const seen = sync.revision ?? sync.revisions?.[0];
      return seen === revision && sync.status === 'Synced' && operationState?.phase === 'Succeeded';
    });
  }

  /** Resolves with the message once Argo CD gives the PortForward that health. */
  async health(portForward: string, health: string, withinMs = 60_000): Promise<string> {
    let message = '';
    await this.#until(`${portForward} is ${health}`, withinMs, ({ status }) => {
      const found = status.resources?.find(({ kind, name }) => kind === 'PortForward' && name === portForward);
      message = found?.health?.message ?? '';
      return found?.health?.status === health;
    });
    return message;
  }

  /** Resolves with the message once Argo CD reports an error of the documents in Git. */
  async fails(withinMs = 60_000): Promise<string> {
    let message = '';
    await this.#until('an error is reported', withinMs, ({ status: { conditions = [] } }) => {
      message = conditions.find(({ type }) => type.endsWith('Error'))?.message ?? '';
      return message !== '';
    });
    return message;
  }

  /** Deletes it and, with its finalizer, what it made. */
  async delete(): Promise<void> {
    await this.cli(['delete'], ['--cascade', '--yes']);
    const list = ['get', 'applications.argoproj.io', this.name, '--namespace', argoCdNamespace, '--ignore-not-found'];
    await eventually(`${this.name} is gone`, async () => (await this.#cluster.kubectl(list)) === '', 90_000);
  }

  async #until(what: string, withinMs: number, holds: (state: ApplicationState) => boolean): Promise<void> {
    let last: ApplicationState | undefined;
    try {
      await eventually(
        what,
        async () => {
          last = await this.get('refresh');
          return holds(last);
        },
        withinMs,
      );
    } catch (error) {
      throw new Error(`${String(error)}; ${this.name} is ${JSON.stringify(last?.status, null, 1)}`, { cause: error });
    }
  }
}
