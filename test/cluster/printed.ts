// What psql, mariadb, redis-cli and curl print where a tunnel cannot carry them (docs/promises.md, promise 3): the whole sentence, at most 200
// characters, with the reason. Asked at a pod of the tunnel, because a Service leads nowhere in some of these worlds.
// Neighbours: bad-worlds.test.ts and ssm-bad-worlds.test.ts, each of whose worlds is asked; four-services.ts has the ports.
import assert from 'node:assert/strict';
import { cachedProgram } from '../../lab/base/places.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import type { Shop } from '../../lab/cluster/shop.ts';
import { Child } from '../../lab/process/child.ts';
import { CommandFailed, command } from '../../lab/process/command.ts';

type Ask = (port: number) => readonly [string, ...string[]];

const clients: Readonly<Record<string, Ask>> = {
  postgresql: (port) => ['psql', '-X', '-c', 'select 1', `host=127.0.0.1 port=${port} user=x dbname=x`],
  mysql: (port) => ['mariadb', '--no-defaults', '-h127.0.0.1', `-P${port}`, '-ux', '-px', '-eselect 1'],
  redis: (port) => ['redis-cli', '-h', '127.0.0.1', '-p', `${port}`, 'GET', 'x'],
  http: (port) => ['curl', '--silent', '--noproxy', '*', `http://127.0.0.1:${port}/`],
};

/** Asserts that every client with a protocol of its own prints the reason. Resolves with the sentence of the first. */
export async function printedByClients(
  { cluster, shop }: { readonly cluster: Cluster; readonly shop: Shop },
  name: string,
  reason: string,
): Promise<string> {
  const [pod] = await shop.tunnelPods(name);
  assert.ok(pod !== undefined, `${name} has a pod`);
  const open = ['--kubeconfig', cluster.kubeconfig, '-n', shop.namespace, 'port-forward', `pod/${pod.metadata.name}`];
  const ports = await portsOf(shop, name, pod.metadata.name);
  const forwarding = new Child('kubectl port-forward', cachedProgram('kubectl'), [
    ...open,
    ...ports.map(({ listenPort }) => `:${listenPort}`),
  ]);
  try {
    const said = await Promise.all(
      ports.map(async ({ protocol, listenPort }) => {
        const line = await forwarding.line(new RegExp(`^Forwarding from 127\\.0\\.0\\.1:\\d+ -> ${listenPort}$`));
        return await saidBy(protocol, Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]), reason);
      }),
    );
    return said[0] ?? assert.fail(`${name} has a port with a protocol`);
  } finally {
    await forwarding.kill();
  }
}

async function saidBy(protocol: string, port: number, reason: string): Promise<string> {
  const [program, ...args] = clients[protocol]?.(port) ?? assert.fail(`no client for ${protocol}`);
  const output = await command(program, args, { timeoutMs: 60_000 }).catch((error: unknown) => {
    if (error instanceof CommandFailed) return error.stdout + error.stderr;
    throw error;
  });
  const [, sentence] = /(portforward: [^\n]*)/.exec(output) ?? [];
  assert.ok(sentence !== undefined, `${program} printed no sentence of ours:\n${output}`);
  assert.ok(sentence.endsWith(`(${reason})`), `${program} printed “${sentence}”`);
  assert.ok(sentence.length <= 200, `${program} printed ${sentence.length} characters: “${sentence}”`);
  assert.match(sentence, /^[\x20-\x7e]+$/, program);
  assert.ok(!sentence.includes('...'), `${program} printed half a sentence: “${sentence}”`);
  return sentence;
}

/** The pod's port of each forward whose protocol has a client. */
async function portsOf(
  shop: Shop,
  name: string,
  pod: string,
): Promise<readonly { readonly protocol: string; readonly listenPort: number }[]> {
  const read = async (kind: string, path: string): Promise<readonly Record<string, string | number>[]> =>
    JSON.parse(await shop.kubectl(['get', ...kind.split(' '), '--output', `jsonpath=${path}`]));
  const forwards = await read(`portforward ${name}`, '{.spec.ports}');
  const container = await read(`pod ${pod}`, '{.spec.containers[0].ports}');
  return forwards.flatMap(({ name: given, port, appProtocol }) => {
    const portName = given ?? `p${port}`;
    const listenPort = container.find((one) => one['name'] === portName)?.['containerPort'];
    return clients[String(appProtocol)] === undefined || listenPort === undefined
      ? []
      : { protocol: String(appProtocol), listenPort: Number(listenPort) };
  });
}
