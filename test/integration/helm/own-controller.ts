// The controller as the chart would run it: with the arguments of the rendered Deployment, as its ServiceAccount and under its policies, in
// the test's own process. Neighbours: chart.ts (renders), uncaged.test.ts (uses it).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse, parseAllDocuments, stringify } from 'yaml';
import type { ApiServer } from '../../../lab/cluster/api-server.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { runController, type TestOverrides } from '../../../src/controller/main.ts';
import { createLog } from '../../../src/process/log.ts';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface OwnController {
  readonly lines: readonly LogLine[];
  /** Resolves once it leads. */
  readonly leading: Promise<void>;
  /** The lines of its metrics page that begin with the text. */
  series(beginning: string): Promise<string[]>;
  stop(): Promise<void>;
}

export interface OwnControllerOptions {
  readonly podName: string;
  /** What was installed: YAML with the controller's Deployment. */
  readonly manifest: string;
  readonly overrides?: Partial<TestOverrides>;
}

interface WrittenDeployment {
  readonly kind: string;
  readonly metadata: { readonly namespace: string };
  readonly spec: {
    readonly template: {
      readonly spec: { readonly serviceAccountName: string; readonly containers: { readonly args: string[] }[] };
    };
  };
}

export async function startOwnController(
  server: ApiServer,
  { podName, manifest, overrides = {} }: OwnControllerOptions,
): Promise<OwnController> {
  const deployment = parseAllDocuments(manifest)
    .map((document) => document.toJS() as WrittenDeployment | null)
    .find((object) => object?.kind === 'Deployment');
  assert.ok(deployment);
  const { namespace } = deployment.metadata;
  const { serviceAccountName, containers } = deployment.spec.template.spec;
  const [, ...args] = containers[0]?.args ?? [];
  const settings = readSettings([...args, '--admin-port=0'], {
    POD_NAMESPACE: namespace,
    POD_NAME: podName,
    POD_UID: randomUUID(),
  });
  const kubeConfig = await kubeConfigOf(server, namespace, serviceAccountName);
  const lines: LogLine[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => lines.push(JSON.parse(line) as LogLine) } });
  const leading = Promise.withResolvers<number>();
  const stop = new AbortController();
  const ended = runController({
    signal: stop.signal,
    settings,
    log,
    overrides: { kubeConfig, ...overrides, onLeading: ({ adminPort }) => leading.resolve(adminPort) },
  });
  ended.catch(leading.reject);
  // One that never leads ends without it.
  leading.promise.catch(() => undefined);
  return {
    lines,
    leading: leading.promise.then(() => undefined),
    series: async (beginning) => {
      const page = await (await fetch(`http://127.0.0.1:${await leading.promise}/metrics`)).text();
      return page.split('\n').filter((line) => line.startsWith(beginning));
    },
    stop: async () => {
      stop.abort(new Error('the test is over'));
      await ended;
    },
  };
}

/** Reaches the server with a token of the ServiceAccount. */
export async function kubeConfigOf(server: ApiServer, namespace: string, account: string) {
  const token = (await server.kubectl(['create', 'token', account, '--namespace', namespace])).trim();
  const config = parse(readFileSync(server.kubeconfig, 'utf8')) as { users: { user: object }[] };
  for (const each of config.users) each.user = { token };
  const file = join(dirname(server.kubeconfig), `${namespace}-${account}`);
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return loadKubeConfig({ file });
}

/** Asks until the answer is true. @throws after two minutes, with what was seen last. */
export async function until(what: string, ask: () => Promise<boolean>, seen: () => unknown = () => ''): Promise<void> {
  const end = performance.now() + 120_000;
  while (!(await ask())) {
    assert.ok(performance.now() < end, `not within two minutes: ${what} ${JSON.stringify(seen())}`);
    await delay(50);
  }
}
