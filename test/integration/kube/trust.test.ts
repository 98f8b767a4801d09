import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import { Authority } from '../../../lab/cluster/certificates.ts';
import { ApiUnreachable } from '../../../src/controller/kube/base/api-error.ts';
import { services } from '../../../src/controller/kube/base/resources.ts';
import { clientOf } from '../../unit/controller/kube/scripted-server.ts';

const { signal } = new AbortController();
/** More than all waits between tries (11.6 s): the last try's own error is told, not that the time was over in the middle of one. */
const deadlineMs = 30_000;
const directory = mkdtempSync(join(tmpdir(), 'kube-trust-'));
after(() => rmSync(directory, { recursive: true }));

async function authority(name: string): Promise<{ authority: Authority; key: Buffer; cert: Buffer }> {
  const made = new Authority(join(directory, name));
  await made.create();
  await made.issue('server', { user: 'server', addresses: ['127.0.0.1'] });
  return { authority: made, key: readFileSync(made.key('server')), cert: readFileSync(made.certificate('server')) };
}

test('a rotated CA bundle is taken up without a restart, and an unknown CA is never trusted', {
  timeout: 60_000,
}, async () => {
  const [old, fresh] = [await authority('old'), await authority('new')];
  const caFile = join(directory, 'ca.crt');
  copyFileSync(old.authority.certificate(), caFile);
  const answer = JSON.stringify({ metadata: { namespace: 'ns', name: 'a' } });
  const server = createServer({ key: old.key, cert: old.cert }, (_, response) => response.end(answer));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const config = new KubeConfig();
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    config.loadFromClusterAndUser({ name: 'x', server: url, caFile, skipTLSVerify: false }, { name: 'x' });
    await using client = clientOf(config);
    const get = async (): Promise<string | undefined> =>
      (await client.kube.get(services, { namespace: 'ns', name: 'a' }, { signal, deadlineMs }))?.metadata.name;
    assert.equal(await get(), 'a');

    // The server gets a certificate of another authority before our bundle knows it.
    server.setSecureContext({ key: fresh.key, cert: fresh.cert });
    server.closeAllConnections();
    await assert.rejects(get(), (error) => error instanceof ApiUnreachable && !error.sent);

    copyFileSync(fresh.authority.certificate(), caFile);
    assert.equal(await get(), 'a');
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
