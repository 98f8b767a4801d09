// A real API server with its etcd and nothing else: no nodes, no controllers, no root. For tests of the CRD, admission and the
// controller's traffic, which need the server's answers but no running pods.
// Neighbours: cluster.ts for tests that need pods; control-plane.ts has the settings of both.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../base/eventually.ts';
import { cachedProgram } from '../base/places.ts';
import type { Log } from '../base/progress.ts';
import { Child } from '../process/child.ts';
import { freePorts } from '../process/ports.ts';
import { ensurePrograms } from '../programs/programs.ts';
import { Authority, issueApiServer } from './certificates.ts';
import { apiServerArguments, etcdArguments } from './control-plane.ts';
import { type KubectlOptions, kubectl } from './kubectl.ts';

export interface ApiServerOptions {
  readonly signal?: AbortSignal;
  /** Takes a line about each build. Default: standard error. */
  readonly log?: Log;
  /** The range of Service addresses. Default: 131,070 of them. */
  readonly serviceRange?: string;
  /** More arguments of kube-apiserver; a flag given here wins over the same flag of ours. */
  readonly arguments?: readonly string[];
}

export interface ApiServer {
  /** A kubeconfig file with every right. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:<port>` */
  readonly url: string;
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /**
   * Resolves once the server lists the kind of a definition that was just applied. Not by `kubectl wait`, which fails where the definition has
   * no conditions yet; and a kind is listed only after its condition `Established`.
   */
  untilServed(kind: string): Promise<void>;
  /** Stops and continues the server's process (SIGSTOP, SIGCONT): it accepts connections and answers none. */
  pause(): void;
  resume(): void;
  /** Kills the server, keeps its data and address, and starts it again; resolves when it is ready. */
  restart(): Promise<void>;
  /** Kills etcd, keeps its data, and starts it again; resolves when it answers. */
  restartStore(): Promise<void>;
  /** Raises, or takes back, the alarm that etcd raises by itself when its space is used up: it refuses every write. */
  fillStore(isFull: boolean): Promise<void>;
  /** Ends both processes and removes their directory. Safe to call twice. */
  stop(): Promise<void>;
}

/** Resolves when `/readyz` answers 200 (about 4 s with cached programs). Several can run side by side. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const { signal, log = (line: string) => process.stderr.write(`${line}\n`) } = options;
  await ensurePrograms(['etcd', 'kube-apiserver', 'kubectl'], { log, ...(signal === undefined ? {} : { signal }) });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(options);
    } catch (error) {
      // The ports are chosen before they are bound: another process may take one in between.
      const taken = error instanceof Error && /address already in use/.test(error.message);
      if (!taken || attempt === 3) throw error;
    }
  }
}

async function start({
  signal,
  serviceRange = '198.18.0.0/15',
  arguments: more = [],
}: ApiServerOptions): Promise<ApiServer> {
  const host = '127.0.0.1';
  const directory = mkdtempSync(join(tmpdir(), 'portforward-api-'));
  const running: Child[] = [];
  const stop = async (): Promise<void> => {
    // Nothing of theirs is kept, so nothing is lost: asking takes 2 s more.
    await Promise.all(running.map((child) => child.kill()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [clientPort = 0, peerPort = 0, port = 0] = await freePorts(3, host);
    const data = { directory: join(directory, 'etcd'), host, clientPort, peerPort };
    const startStore = (): Child => {
      const child = new Child('etcd', cachedProgram('etcd'), etcdArguments(data));
      running.push(child);
      return child;
    };
    let store = startStore();
    const authority = new Authority(join(directory, 'certificates'));
    await authority.create();
    await issueApiServer(authority, [host]);
    const url = `https://${host}:${port}`;
    const kubeconfig = join(directory, 'kubeconfig');
    authority.writeKubeconfig(kubeconfig, url, 'admin');
    const etcd = `http://${host}:${clientPort}`;
    const args = [...apiServerArguments(authority, { etcd, host, port, serviceRange }), ...more];
    const launch = async (): Promise<Child> => {
      const child = new Child('kube-apiserver', cachedProgram('kube-apiserver'), args);
      running.push(child);
      const ready = { url, ca: readFileSync(authority.certificate()) };
      const serving = async (): Promise<boolean> => {
        // Without it the server waits forever, and hides what its store reported.
        if (store.end !== undefined)
          throw new Error(`etcd ended (${store.end}):\n${store.log().slice(-20).join('\n')}`);
        return isReady(ready);
      };
      await child.until(serving, 60_000, signal);
      return child;
    };
    let server = await launch();
    signal?.addEventListener('abort', () => void stop(), { once: true });
    return {
      kubeconfig,
      url,
      kubectl: (words, given) => kubectl(kubeconfig, words, given),
      untilServed: async (kind) => {
        const listed = (): Promise<boolean> =>
          kubectl(kubeconfig, ['get', kind, '--all-namespaces']).then(
            () => true,
            () => false,
          );
        await eventually(`${kind} are listed`, listed);
      },
      pause: () => server.signal('SIGSTOP'),
      resume: () => server.signal('SIGCONT'),
      restart: async () => {
        await server.kill();
        running.splice(running.indexOf(server), 1);
        server = await launch();
      },
      restartStore: async () => {
        await store.kill();
        running.splice(running.indexOf(store), 1);
        store = startStore();
        await store.until(() => isHealthy(etcd), 60_000, signal);
      },
      fillStore: (isFull) => raiseNoSpace(etcd, isFull),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const isHealthy = (etcd: string): Promise<boolean> =>
  fetch(`${etcd}/health`).then(
    ({ ok }) => ok,
    () => false,
  );

async function raiseNoSpace(etcd: string, isFull: boolean): Promise<void> {
  const body = JSON.stringify({ action: isFull ? 'ACTIVATE' : 'DEACTIVATE', alarm: 'NOSPACE' });
  const answer = await fetch(`${etcd}/v3/maintenance/alarm`, { method: 'POST', body });
  if (!answer.ok) throw new Error(`etcd answers ${answer.status}: ${await answer.text()}`);
}

/** Whether the server reports itself ready. */
export async function isReady({ url, ca }: { readonly url: string; readonly ca: Buffer }): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const asked = request(`${url}/readyz`, { ca, timeout: 2_000, agent: false }, (answer) => {
    answer.resume();
    resolve(answer.statusCode === 200);
  });
  asked.on('error', () => resolve(false));
  asked.on('timeout', () => asked.destroy(new Error('no answer')));
  asked.end();
  return promise;
}
