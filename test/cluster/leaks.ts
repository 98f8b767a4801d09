// Searches for secret texts wherever they could leak: a tunnel's objects and Events, every log, and the environment, arguments, metrics
// and status of its pods. Neighbours: shop.ts (the namespace), the tests of bad worlds.
import assert from 'node:assert/strict';
import { eventually } from '../../lab/base/eventually.ts';
import type { Cluster } from '../../lab/cluster/cluster.ts';
import { operatorNamespace } from '../../lab/cluster/operator.ts';
import type { Shop } from '../../lab/cluster/shop.ts';
import { CommandFailed } from '../../lab/process/command.ts';

/** What must not appear, by its name in a failure: a text, searched for in several encodings, or a pattern. */
export type Secrets = ReadonlyMap<string, string | RegExp>;

/** @throws AssertionError that names the secret and the place, if one of these tunnels shows a secret. */
export async function assertNoLeaks(
  { cluster, shop, tunnels }: { readonly cluster: Cluster; readonly shop: Shop; readonly tunnels: readonly string[] },
  secrets: Secrets,
): Promise<void> {
  const places: readonly (readonly [where: string, content: Promise<string>])[] = [
    ...tunnels.flatMap((name) => [
      [`pods of ${name} themselves`, shownByPods(shop, name)] as const,
      [`logs of ${name}`, shop.logs(name)] as const,
    ]),
    ['controller’s logs', controllerLogs(cluster)],
    [
      'objects',
      shop.kubectl([
        'get',
        'deployments,replicasets,pods,services,networkpolicies,serviceaccounts,portforwards,events',
        '--output',
        'json',
      ]),
    ],
  ];
  for (const [where, content] of await Promise.all(places.map(async ([place, text]) => [place, await text] as const))) {
    for (const [name, secret] of secrets) {
      const shown =
        typeof secret === 'string' ? spellings(secret).some((text) => content.includes(text)) : secret.test(content);
      assert.ok(!shown, `${name} must not appear in the ${where}`);
    }
  }
}

/** What the controller's pods logged. A pod of an earlier install may end in between: kubectl then fails, and the next list lacks that pod. */
export async function controllerLogs(cluster: Cluster): Promise<string> {
  const selected = ['--selector', 'app.kubernetes.io/name=portforward', '--tail=-1'];
  let logs = '';
  await eventually('the controller’s logs are read', async () => {
    try {
      logs = await cluster.kubectl(['--namespace', operatorNamespace, 'logs', ...selected]);
      return true;
    } catch (error) {
      if (error instanceof CommandFailed) return false;
      throw error;
    }
  });
  return logs;
}

/** The forms in which a secret may leak: raw, each long line of it, base64, and escaped in JSON. */
function spellings(text: string): string[] {
  const lines = text.split('\n').filter((line) => line.length >= 12 && !line.includes('PRIVATE KEY'));
  return [text, ...lines, Buffer.from(text).toString('base64'), JSON.stringify(text).slice(1, -1)];
}

/** What a tunnel pod exposes: environment and arguments of every process in it, metrics and status. */
const selfShown = `
const fs = require('node:fs');
for (const pid of fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)))
  for (const file of ['environ', 'cmdline'])
    try { console.log(fs.readFileSync('/proc/' + pid + '/' + file, 'latin1')); } catch {}
// A pod that has just started does not listen yet.
const read = async (page, attempts = 100) => {
  try {
    return await (await fetch('http://127.0.0.1:9808/' + page)).text();
  } catch (error) {
    if (attempts === 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return read(page, attempts - 1);
  }
};
Promise.all([read('metrics'), read('statusz')]).then((pages) => console.log(pages.join('\\n')));
`;

async function shownByPods(shop: Shop, name: string): Promise<string> {
  const running = (await shop.tunnelPods(name)).filter(({ status }) => status.phase === 'Running');
  const pages = running.map(({ metadata }) => shop.kubectl(['exec', metadata.name, '--', 'node', '-e', selfShown]));
  const shown = (await Promise.all(pages)).join('');
  assert.equal(shown.includes('PORTFORWARD_CONFIG'), running.length > 0, 'the pods were looked into');
  return shown;
}
